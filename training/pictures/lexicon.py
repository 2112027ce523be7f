"""Words written for this project: common ones, people, places and goods. Lists only; words.py says who may use what."""

from __future__ import annotations


def words_of(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def titles_of(text: str) -> tuple[str, ...]:
    """Return what stands between upright strokes, blanks and all."""
    return tuple(title.strip() for title in text.split("|"))


COMMON = words_of(
    """able about above account across action active address after again agree album alert almond alone along amber
    anchor angle animal answer apple april arch area arrow artist autumn away baker balance ball banana bank basket
    beach bear beauty because bell bench berry better bicycle bird black blanket blue board boat body book border
    bottle bottom branch bread breeze brick bridge bright bring brother brown brush bubble build button cabin cable
    cactus calm camera candle canyon captain card care castle cedar center chain chair chalk change charge cheap
    check cherry child choice circle city clean clear clever cliff clock close cloud coast coffee cold color comet
    common copper coral corner cotton country course cover creek crown crystal dance dark dawn desert design dinner
    direct dolphin door double dragon dream drive early earth east easy echo edge eight electric elephant emerald
    empty energy engine enter equal evening every exit extra eye fabric falcon family famous farm fast feather fern
    festival field fire first fish five flag flame flower forest forward four fox free fresh friday friend frost
    fruit future galaxy garden gate general gentle giant ginger glass gold grain grand grape grass gravity green
    group guest guide hammer happy harbor hard harvest hazel heart heavy hello help heron high hill holiday home
    honey hope horizon horse hotel house hundred idea indigo inside iron island ivory ivy january jasmine jazz
    jewel join journey juice july jungle june juniper keep kettle kind kitchen lake lamp land lantern large laurel
    leader leaf left lemon letter level library light lily limit linden lion listen little local lotus lucky lunar
    magic major mango maple marble march market meadow melody member memory metal middle midnight mint mirror
    mobile model modern monday moment moon morning mountain museum music narrow nature near nest never night nine
    noble north notice novel number oak oasis ocean offer office often olive only open orange orbit orchard order
    other outside owner page paint palace palm panda paper park party pasture path peace pearl pepper phone photo
    piano picture pilot pine pink planet plant plate play please pocket point polar pond poppy power press pretty
    price prime print project proud public purple quality quarter queen question quick quiet rabbit rain rainbow
    raven ready red reef remember rest ribbon right ring river road robin rocket room rose round royal ruby safe
    sage sail salmon sand saturday scale school science sea season second secret select seven shadow shape shell
    ship shop short shore signal silent silver simple sister small smile smooth snow social soft solar south space
    sparrow special spice spirit spring square star start station steel stone store storm story stream street
    strong studio summer sun sunday sunset super supply sweet swift table tailor teal temple ten thank thunder
    thursday ticket tiger timber today tomato tomorrow top tower town train travel tree trust tuesday tulip tunnel
    turtle twelve twenty under union unique upper urban valley value velvet village violet visit vista voice wagon
    walnut warm water wave wednesday weekend welcome west whale wheat white wide wild willow wind window winter
    wire wise wonder wood world yard yellow young zebra zero zone"""
)

SPOKEN_WORDS = words_of(
    """about above address after among amount an and animal answer any appear are as assistant at be belongs below
    between birth black blue both bottom brief briefly brown button buttons called can category change character
    chart circle circles city code color colour column columns comes company contain cost count cross crosses
    customer data date departure describe details diamond diamonds different digit digits display do document does
    each email entries entry extract false farthest few fewer fields figure figures fill find first follows for four
    fourth from full further furthest give given gray green grey has have heading heart hearts helpful here higher
    highest how image images in into invoice is it item items job json just key keys kind label labels largest last
    left leftmost line lines list listed lower lowest mail many me menu message model more much name nearest next
    nights no number object objects of on one only or orange output paid pay people person phone picture pictures
    pink place please position possible price purple question questions read receipt rectangle rectangles red reply
    respond return right rightmost role row rows same say screen seat second see sentence shape shapes shop show
    shown shows side sign six smallest square squares star stars street sum symbol symbols table tax telephone tell
    text than that the there these thing things third this three time title to top total town transcribe triangle
    triangles turn two type under unit unknown value was web what where which white who window with word words
    written yellow yes you"""
)
"""Words that questions and answers are made of: the tokenizer's pieces."""

FIRST = words_of(
    """Aaron Ada Adam Alice Amina Ana Anders Andrea Anna Anton Arjun Astrid Ben Bianca Björn Boris Carla Carlos
    Cecilia Chen Chloe Clara Daniel David Deepa Diego Dora Edith Elena Elias Ella Emil Emma Erik Esther Eva Farah
    Felix Fiona Frank Frida Gabriel George Gita Grace Greta Hanna Hassan Helen Henry Hugo Ida Igor Ines Iris Isaac
    Ivan Jack Jakob Jane Jens Joan John Jonas José Julia Jürgen Kai Karen Karl Kate Kenji Klara Lars Laura Lea Leo
    Li Lina Linda Louis Lucas Lucia Magda Marco Maria Marie Mark Martin Mateo Maya Mei Mia Michael Mila Mona Nadia
    Nadine Nina Noah Nora Olga Oliver Omar Oscar Owen Paul Paula Pedro Peter Petra Philip Priya Rafael Rachel Ravi
    René Rita Robert Rosa Ruth Sam Samira Sara Sean Silvia Simon Sofia Sören Stella Stefan Tara Theo Thomas Tim Tina
    Tom Uma Ursula Vera Victor Viola Walter Wei Wendy Xavier Yara Yuki Yusuf Zoe"""
)

LAST = words_of(
    """Abbott Adams Ahmed Alvarez Andersen Bailey Baker Bauer Becker Bell Berg Bergmann Bianchi Brandt Brooks Brown
    Burton Butler Campbell Carter Castillo Chan Chapman Clark Cohen Collins Cooper Costa Cruz Davies Delgado Diaz
    Dietrich Dixon Dubois Edwards Ellis Evans Ferrari Fischer Fisher Fleming Foster Fournier Fox Garcia Gibson Gomez
    Gonçalves Graham Grant Green Gruber Gupta Haas Hall Hansen Harris Hartmann Hayes Hernandez Hill Hoffmann Holm
    Hughes Hunt Ibrahim Ivanova Jackson Jansen Jensen Johnson Jones Kaiser Kaya Keller Kelly Khan Kim King Klein
    Koch Kovacs Kowalski Krüger Kumar Lambert Lang Larsen Lee Lehmann Lewis Lindberg Lopez Ludwig Maier Marino
    Martin Mason Meyer Miller Mitchell Moore Morgan Morris Müller Muñoz Murphy Nakamura Nelson Nguyen Novak
    O'Brien Olsen Palmer Park Parker Patel Peña Pereira Perez Petersen Phillips Porter Price Ramos Reed Reyes Richter
    Rivera Roberts Rossi Roth Russo Ryan Sanchez Santos Sato Schäfer Schmidt Schneider Schröder Schulz Scott Shah
    Silva Simmons Singh Smith Sommer Stein Stone Suzuki Svensson Tanaka Taylor Torres Turner Vargas Vogel Wagner
    Walker Wang Ward Watson Weber Weiß White Williams Winkler Wolf Wright Yamada Yilmaz Young Zhang Ziegler"""
)

PRODUCTS = titles_of(
    """Apples|Apron|Backpack|Bagel|Bananas|Batteries|Bath Towel|Beans|Belt|Blanket|Book|Bowl|Box|Bracelet|Bread
    |Brush|Bulb|Burger|Butter|Cable|Cake|Candle|Cap|Carpet|Carrots|Cereal|Chair|Charger|Cheese|Chicken Soup
    |Chocolate|Clock|Coat|Coffee|Cookies|Cup|Curtain|Cushion|Desk|Dress|Drill|Earrings|Eggs|Envelope|Espresso
    |Fan|Filter|Flour|Folder|Fork|Frame|Fries|Garlic|Gift Card|Glasses|Gloves|Glue|Grapes|Guitar|Hammer|Hat
    |Headphones|Helmet|Honey|Hose|Ice Cream|Jacket|Jam|Jeans|Jug|Juice|Kettle|Key Ring|Keyboard|Knife|Ladder|Lamp
    |Latte|Lemons|Lens|Lettuce|Lock|Magnet|Map|Marker|Mat|Milk|Mirror|Monitor|Mouse|Muffin|Mug|Mushrooms|Nails
    |Napkins|Necklace|Noodles|Notebook|Nuts|Oil|Olives|Onions|Oranges|Oven|Paint|Pan|Pancakes|Paper|Pasta|Pears
    |Pen|Pencil|Pepper|Pie|Pillow|Pizza|Plant|Plate|Popcorn|Poster|Potatoes|Printer|Radio|Rice|Ring|Roll|Rope|Rug
    |Ruler|Salad|Salmon|Salt|Sandals|Sandwich|Sauce|Scarf|Scissors|Screen|Screws|Shampoo|Shelf|Shirt|Shoes|Shorts
    |Skirt|Soap|Socks|Sofa|Speaker|Spoon|Stamps|Stapler|Steak|Stool|Sugar|Suitcase|Sweater|Table|Tape|Tea|Tent|Tie
    |Toast|Tomatoes|Toothpaste|Torch|Towel|Toy Car|Tray|Umbrella|Vase|Vinegar|Wallet|Watch|Water|Wine|Wool
    |Yogurt"""
)

PRODUCT_MAKES = words_of(
    """Alpine Basic Big Blue Classic Compact Cotton Country Daily Deluxe Double Eco Extra Fancy Fine Fresh Frozen Garden
    Golden Grand Green Happy Home Hot Iced Junior Large Light Little Local Magic Maxi Medium Mini Modern Natural
    Nordic Organic Plain Pocket Premium Pure Quick Red Rich Royal Salted Simple Slim Small Smart Soft Special Spicy
    Standard Steel Strong Super Sweet Travel Ultra Vintage Warm White Wild Wooden"""
)

TOWNS = words_of(
    """Aberdeen Accra Adelaide Amsterdam Ankara Antwerp Athens Atlanta Auckland Austin Baltimore Barcelona Basel
    Belfast Bergen Berlin Bern Bilbao Bogota Bologna Bonn Boston Bremen Brisbane Bristol Brussels Budapest Cairo
    Calgary Cardiff Chicago Cologne Copenhagen Cork Dakar Dallas Delhi Denver Detroit Dresden Dublin Durban Essen
    Florence Frankfurt Geneva Genoa Ghent Glasgow Graz Hamburg Hanoi Hanover Helsinki Houston Istanbul Jakarta
    Kingston Kyoto Lagos Leeds Leipzig Lille Lima Lisbon Liverpool London Lyon Madrid Malaga Malmö Manchester Manila
    Marseille Melbourne Memphis Miami Milan Montreal Munich Nairobi Naples Nice Odense Osaka Oslo Ottawa Oxford
    Palermo Paris Perth Phoenix Pisa Porto Prague Quebec Quito Riga Rome Rotterdam Salzburg Santiago Seattle Seoul
    Seville Sofia Stockholm Stuttgart Sydney Tallinn Tampa Tokyo Toronto Trieste Tunis Turin Utrecht Valencia
    Vancouver Venice Verona Vienna Vilnius Warsaw York Zagreb Zürich"""
)

COMPANY_ENDS: tuple[str, ...] = (
    "Ltd",
    "Inc.",
    "GmbH",
    "& Sons",
    "Group",
    "Trading",
    "Market",
    "Store",
    "Studio",
    "Services",
    "& Co.",
)
COMPANY_ENDS += ("Foods", "Supply", "Works", "Partners", "Logistics", "Energy", "Media", "Labs", "Hotel", "Bakery")
STREET_ENDS = ("Street", "Road", "Avenue", "Lane", "Drive", "Way", "Square", "Hill", "St.", "Rd")

JOBS = titles_of(
    """Actor|Actuary|Administrator|Advisor|Agent|Ambassador|Archivist|Artist|Assistant|Attorney|Auditor|Barista|Biologist
    |Bookkeeper|Broker|Builder|Butcher|Buyer|Caretaker|Carpenter|Cashier|Chairman|Chemist|Clerk|Coach|Coordinator
    |Copywriter|Courier|Curator|Dentist|Dispatcher|Doctor|Economist|Electrician|Executive|Farmer|Florist|Founder|Gardener
    |Geologist|Guide|Hairdresser|Historian|Inspector|Interpreter|Investor|Journalist|Judge|Lawyer|Lecturer|Librarian
    |Mason|Mechanic|Merchant|Musician|Notary|Officer|Operator|Optician|Owner|Painter|Partner|Pharmacist|Photographer
    |Physician|Planner|Plumber|President|Principal|Producer|Professor|Programmer|Publisher|Receptionist|Reporter
    |Researcher|Sales Representative|Stylist|Supervisor|Surgeon|Tailor|Trainee|Trainer|Translator|Treasurer|Tutor
    |Veterinarian|Waiter|Welder|Writer"""
)
"""What people do, for training alone: a card says it without a label."""
RANKS = ("Senior", "Junior", "Chief", "Lead", "Assistant", "Deputy", "Head of", "Vice President", "Associate")
