// Loaded before the sample: answers for the sample picture's address, passes on everything else, and writes down
// which model the service said had answered.
import { readFileSync, writeFileSync } from "node:fs";

const { SAMPLE_ADDRESS, SAMPLE_PICTURE, SAMPLE_MODEL } = process.env;
const real = globalThis.fetch;

globalThis.fetch = async (resource, options) => {
  if (String(resource.url ?? resource) === SAMPLE_ADDRESS) return new Response(readFileSync(SAMPLE_PICTURE));
  const response = await real(resource, options);
  writeFileSync(SAMPLE_MODEL, (await response.clone().json()).model);
  return response;
};
