"""Pictograms by name: which emoji shows each, and what it is called in the icon faces.

Emoji come from Noto Color Emoji, icons from faces whose licence lets what was learnt from them be shipped. A name is
what people call the thing; pictures that could be called two things (a jar that may be a bottle) are not here.
Elusive Icons are kept for eval.
"""

from __future__ import annotations

from dataclasses import dataclass

from pictures.base import Split

EMOJI_PACKAGE, EMOJI_LICENCE = "fonts-noto-color-emoji", "OFL-1.1"


@dataclass(frozen=True, slots=True)
class IconSet:
    """A face of icons; its package's `_variables.scss` says which code each name has."""

    name: str
    package: str
    licence: str
    split: Split
    file: str


ICON_SETS = (
    IconSet("fontawesome", "fonts-font-awesome", "OFL-1.1", "train", "fontawesome-webfont.ttf"),
    IconSet("material", "fonts-material-design-icons-iconfont", "Apache-2.0", "train", "MaterialIcons-Regular.ttf"),
    IconSet(
        "materialdesign", "fonts-materialdesignicons-webfont", "OFL-1.1", "train", "materialdesignicons-webfont.ttf"
    ),
    IconSet("elusive", "fonts-elusive-icons", "OFL-1.1", "eval", "elusiveicons-webfont.ttf"),
)

# Signs of DejaVu Sans: drawn as icons, and all there is where nothing was gathered.
DEJAVU_PACKAGE, DEJAVU_LICENCE = "fonts-dejavu-core", "Bitstream-Vera"
DEJAVU = {
    "sun": "☀",
    "cloud": "☁",
    "umbrella": "☂",
    "star": "★",
    "telephone": "☎",
    "coffee": "☕",
    "skull": "☠",
    "smiling face": "☺",
    "moon": "☾",
    "heart": "♥",
    "music note": "♪",
    "anchor": "⚓",
    "gear": "⚙",
    "warning": "⚠",
    "lightning": "⚡",
    "scissors": "✂",
    "airplane": "✈",
    "envelope": "✉",
    "pencil": "✏",
    "check mark": "✔",
    "cross mark": "✖",
    "snowflake": "❄",
    "recycling": "♻",
    "flag": "⚑",
    "wheelchair": "♿",
    "arrow up": "⬆",
    "arrow down": "⬇",
    "arrow left": "⬅",
    "arrow right": "➡",
}

EMOJI = dict(
    row.rsplit(" ", 1)
    for row in """
apple 🍎
banana 🍌
grapes 🍇
watermelon 🍉
lemon 🍋
pineapple 🍍
strawberry 🍓
cherries 🍒
pear 🍐
peach 🍑
kiwi 🥝
tomato 🍅
avocado 🥑
eggplant 🍆
carrot 🥕
corn 🌽
broccoli 🥦
mushroom 🍄
bread 🍞
croissant 🥐
cheese 🧀
egg 🥚
hamburger 🍔
french fries 🍟
pizza 🍕
hot dog 🌭
taco 🌮
ice cream 🍦
doughnut 🍩
cookie 🍪
birthday cake 🎂
chocolate 🍫
lollipop 🍭
coffee ☕
wine glass 🍷
beer 🍺
dog 🐶
cat 🐱
mouse 🐭
rabbit 🐰
fox 🦊
bear 🐻
panda 🐼
koala 🐨
tiger 🐯
lion 🦁
cow 🐮
pig 🐷
frog 🐸
monkey 🐵
chicken 🐔
penguin 🐧
owl 🦉
unicorn 🦄
bee 🐝
butterfly 🦋
snail 🐌
ladybug 🐞
spider 🕷
turtle 🐢
snake 🐍
octopus 🐙
crab 🦀
fish 🐟
dolphin 🐬
whale 🐳
shark 🦈
crocodile 🐊
zebra 🦓
elephant 🐘
giraffe 🦒
camel 🐫
horse 🐴
sheep 🐑
dinosaur 🦖
cactus 🌵
palm tree 🌴
sunflower 🌻
rose 🌹
tulip 🌷
four-leaf clover 🍀
sun ☀
moon 🌙
star ⭐
cloud ☁
rainbow 🌈
snowflake ❄
snowman ⛄
fire 🔥
lightning ⚡
umbrella ☂
tornado 🌪
volcano 🌋
globe 🌍
car 🚗
bus 🚌
taxi 🚕
police car 🚓
ambulance 🚑
fire truck 🚒
tractor 🚜
bicycle 🚲
motorcycle 🏍
train 🚆
airplane ✈
helicopter 🚁
rocket 🚀
sailboat ⛵
ship 🚢
anchor ⚓
traffic light 🚦
house 🏠
castle 🏰
tent ⛺
church ⛪
soccer ball ⚽
basketball 🏀
tennis racket 🎾
football 🏈
trophy 🏆
medal 🏅
guitar 🎸
violin 🎻
trumpet 🎺
piano 🎹
drum 🥁
microphone 🎤
headphones 🎧
camera 📷
television 📺
radio 📻
telephone ☎
laptop 💻
printer 🖨
keyboard ⌨
watch ⌚
alarm clock ⏰
hourglass ⌛
light bulb 💡
flashlight 🔦
candle 🕯
key 🔑
lock 🔒
hammer 🔨
wrench 🔧
gear ⚙
scissors ✂
magnet 🧲
microscope 🔬
telescope 🔭
syringe 💉
pill 💊
door 🚪
bed 🛏
toilet 🚽
shopping cart 🛒
gift 🎁
balloon 🎈
envelope ✉
pencil ✏
book 📖
newspaper 📰
calendar 📅
line chart 📈
money bag 💰
credit card 💳
gem 💎
crown 👑
glasses 👓
T-shirt 👕
jeans 👖
dress 👗
shoe 👞
hat 👒
backpack 🎒
heart ❤
broken heart 💔
smiling face 😊
laughing face 😂
crying face 😢
angry face 😠
sleeping face 😴
sunglasses 🕶
thumbs up 👍
thumbs down 👎
clapping hands 👏
ghost 👻
skull 💀
robot 🤖
alien 👽
check mark ✅
cross mark ❌
question mark ❓
exclamation mark ❗
warning ⚠
stop sign 🛑
recycling ♻
puzzle piece 🧩
dice 🎲
teddy bear 🧸
ticket 🎫
bell 🔔
map 🗺
flag 🏁
""".strip().splitlines()
)

# name | Font Awesome | Material Icons | Material Design Icons | Elusive
ICONS = {
    row.split("|")[0].strip(): tuple(part.strip() for part in row.split("|")[1:])
    for row in """
heart | heart | favorite | heart | heart
star | star | star | star | star
house | home | home | home | home
gear | cog | settings | settings | cog
magnifying glass | search | search | magnify | search
envelope | envelope | email | email | envelope
telephone | phone | phone | phone | phone-alt
lock | lock | lock | lock | lock
key | key | vpn_key | key | key
bell | bell | notifications | bell | bell
camera | camera | photo_camera | camera | camera
shopping cart | shopping-cart | shopping_cart | cart | shopping-cart
person | user | person | account | user
people | users | group | account-multiple | group
trash can | trash | delete | delete | trash
pencil | pencil | edit | pencil | pencil
printer | print | print | printer | print
folder | folder | folder | folder | folder-close
cloud | cloud | cloud | cloud | cloud
flag | flag | flag | flag | flag
gift | gift | card_giftcard | gift | gift
car | car | directions_car | car | car
airplane | plane | flight | airplane | plane
bus | bus | directions_bus | bus | -
train | train | train | train | -
bicycle | bicycle | pedal_bike | bike | -
rocket | rocket | rocket | rocket | -
ship | ship | directions_boat | ferry | -
truck | truck | local_shipping | truck | -
wheelchair | wheelchair | accessible | wheelchair-accessibility | wheelchair
coffee | coffee | local_cafe | coffee | -
music note | music | music_note | music-note | music
microphone | microphone | mic | microphone | mic
headphones | headphones | headphones | headphones | headphones
play button | play | play_arrow | play | play
pause button | pause | pause | pause | pause
thumbs up | thumbs-up | thumb_up | thumb-up | thumbs-up
thumbs down | thumbs-down | thumb_down | thumb-down | thumbs-down
check mark | check | check | check | ok
cross mark | times | close | close | remove
plus sign | plus | add | plus | plus
minus sign | minus | remove | minus | minus
question mark | question | question_mark | help | question
warning | warning | warning | alert | warning-sign
arrow up | arrow-up | arrow_upward | arrow-up | arrow-up
arrow down | arrow-down | arrow_downward | arrow-down | arrow-down
arrow left | arrow-left | arrow_back | arrow-left | arrow-left
arrow right | arrow-right | arrow_forward | arrow-right | arrow-right
light bulb | lightbulb-o | lightbulb | lightbulb | bulb
book | book | menu_book | book-open | book
bookmark | bookmark | bookmark | bookmark | bookmark
calendar | calendar | calendar_today | calendar | calendar
globe | globe | public | earth | globe
map pin | map-marker | place | map-marker | map-marker
paper clip | paperclip | attach_file | paperclip | paper-clip
scissors | scissors | content_cut | content-cut | scissors
hourglass | hourglass-half | hourglass_bottom | timer-sand | hourglass
laptop | laptop | laptop | laptop | laptop
credit card | credit-card | credit_card | credit-card | credit-card
briefcase | briefcase | work | briefcase | briefcase
wrench | wrench | build | wrench | wrench
magnet | magnet | - | magnet | magnet
leaf | leaf | eco | leaf | leaf
fire | fire | local_fire_department | fire | fire
tree | tree | park | pine-tree | -
umbrella | umbrella | beach_access | umbrella | -
trophy | trophy | emoji_events | trophy | -
anchor | anchor | anchor | anchor | -
bug | bug | bug_report | bug | -
wifi | wifi | wifi | wifi | -
power button | power-off | power_settings_new | power | off
eye | eye | visibility | eye | eye-open
shield | shield | shield | shield | -
tag | tag | local_offer | tag | tag
moon | moon-o | dark_mode | weather-night | -
sun | sun-o | light_mode | weather-sunny | -
snowflake | snowflake-o | ac_unit | - | -
lightning | bolt | bolt | flash | -
barcode | barcode | - | barcode | barcode
QR code | qrcode | qr_code | qrcode | qrcode
bar chart | bar-chart | bar_chart | chart-bar | graph
pie chart | pie-chart | pie_chart | chart-pie | -
puzzle piece | puzzle-piece | extension | puzzle | puzzle
gamepad | gamepad | sports_esports | gamepad-variant | -
bed | bed | bed | - | -
fork and knife | cutlery | restaurant | silverware | -
medical kit | medkit | medical_services | - | -
download | download | file_download | download | download
upload | upload | file_upload | upload | upload
film strip | film | theaters | filmstrip | film
megaphone | bullhorn | campaign | bullhorn | bullhorn
battery | battery-full | battery_full | battery | -
paw | paw | pets | paw | -
""".strip().splitlines()
}

NAMES = tuple(sorted({*DEJAVU, *EMOJI, *ICONS}))
"""Every name; what patches are asked for counts through them, so that another one wants heads that begin anew."""
