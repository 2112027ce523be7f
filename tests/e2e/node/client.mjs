// Everything a test wants to know of OpenAI's npm client, as one JSON object on standard output.
// Arguments: base URL, model, data URI of a picture. The key is in INFERENCE_API_KEY.
import OpenAI from "openai";

const [baseURL, model, url] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: process.env.INFERENCE_API_KEY, maxRetries: 0 });
const messages = [
  { role: "user", content: [{ type: "image_url", image_url: { url } }, { type: "text", text: "What is this?" }] },
];

async function refusal(request) {
  try {
    await request();
  } catch (error) {
    const { status, code, param, requestID } = error;
    return { name: error.constructor.name, status, code, param, hasRequestId: Boolean(requestID) };
  }
}

const plain = await client.chat.completions.create({ model, messages, max_tokens: 8 });

const chunks = [];
const stream = await client.chat.completions.create({
  model,
  messages,
  max_tokens: 8,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) chunks.push(chunk);

const models = [];
for await (const entry of client.models.list()) models.push(entry.id);

const wrongKey = new OpenAI({ baseURL, apiKey: "sk-sl-unknown", maxRetries: 0 });
console.log(
  JSON.stringify({
    plain,
    chunks,
    models,
    retrieved: (await client.models.retrieve(model)).id,
    badRequest: await refusal(() => client.chat.completions.create({ model, messages, temperature: 3 })),
    notFound: await refusal(() => client.chat.completions.create({ model: "no/such/model", messages })),
    unknownKey: await refusal(() => wrongKey.chat.completions.create({ model, messages })),
  }),
);
