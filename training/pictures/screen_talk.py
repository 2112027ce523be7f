"""What screens say and how they are asked about."""

from __future__ import annotations

BUTTONS: tuple[str, ...] = (
    "OK",
    "Cancel",
    "Save",
    "Delete",
    "Yes",
    "No",
    "Send",
    "Next",
    "Back",
    "Close",
    "Retry",
    "Sign in",
    "Log in",
)
BUTTONS += (
    "Accept",
    "Decline",
    "Submit",
    "Continue",
    "Apply",
    "Open",
    "Print",
    "Edit",
    "Share",
    "Skip",
    "Finish",
    "Buy",
)
BUTTONS += (
    "Install",
    "Update",
    "Download",
    "Upload",
    "Search",
    "Reset",
    "Add",
    "Remove",
    "Copy",
    "Help",
    "Discard",
    "Done",
)
VERBS = (
    "Save",
    "Delete",
    "Open",
    "Close",
    "Print",
    "Send",
    "Move",
    "Copy",
    "Export",
    "Import",
    "Share",
    "Rename",
    "Restore",
)
ENDINGS = ("pdf", "txt", "doc", "zip", "png", "csv", "mp3", "html")
WARNINGS = (
    "",
    "This is final.",
    "You cannot take it back.",
    "It is gone then.",
    "All changes are lost.",
    "Are you sure?",
)
"""What dialogues say of a file, of those that are learnt from."""
NOUNS = (
    "changes",
    "file",
    "folder",
    "message",
    "account",
    "photo",
    "report",
    "document",
    "draft",
    "password",
    "backup",
)
FAILURES = (
    "not found",
    "failed",
    "is full",
    "timed out",
    "is locked",
    "was lost",
    "is missing",
    "has expired",
    "denied",
)
SETTINGS: tuple[str, ...] = (
    "Wi-Fi",
    "Bluetooth",
    "Dark mode",
    "Notifications",
    "Location",
    "Sound",
    "Backup",
    "Autosave",
    "Updates",
)
SETTINGS += ("Airplane mode", "Night light", "Camera", "Microphone", "Vibration", "Sync", "Battery saver", "Data saver")
MENU: tuple[str, ...] = (
    "File",
    "Edit",
    "View",
    "Insert",
    "Format",
    "Tools",
    "Help",
    "Window",
    "Home",
    "Profile",
    "Settings",
    "Search",
)
MENU += ("Inbox", "Sent", "Drafts", "Trash", "Reports", "Users", "Orders", "Products", "Calendar", "Contacts", "Tasks")
WHICH_BUTTONS = (
    "Which buttons are there?",
    "What buttons do you see?",
    "List the buttons.",
    "Which buttons can be pressed?",
    "What do the buttons say?",
    "Name the buttons.",
    "Read the labels of the buttons.",
    "Which buttons does the window have?",
    "What are the buttons called?",
)
MAIN_BUTTON = (
    "Which button is highlighted?",
    "Which button is filled with colour?",
    "What does the highlighted button say?",
    "Which is the main button?",
    "Which button is the primary one?",
    "What is on the coloured button?",
    "What is the label of the highlighted button?",
    "Which button stands out?",
    "Read the filled button.",
)
MESSAGE = (
    "What does the message say?",
    "What is the message?",
    "Read the message.",
    "What does the dialog say?",
    "What is the text of the message?",
    "What does the window say?",
    "What message is shown?",
    "What is being asked or told here?",
    "Give me the message on the screen.",
)
TITLE = (
    "What is the title of the window?",
    "What does the title bar say?",
    "Read the window title.",
    "What is the title?",
    "Which app or window is it?",
    "What is written at the top of the window?",
    "What is the heading of the screen?",
    "What is the screen called?",
    "Name the window.",
)
IS_BUTTON = (
    'Is there a button "{}"?',
    "Is there a {} button?",
    "Does the window have a {} button?",
    "Can you press {}?",
    "Do you see a button that says {}?",
    'Is one of the buttons "{}"?',
    "Is there a button called {}?",
    "Does a button say {}?",
    "Is a {} button shown?",
)
IS_ON = (
    "Is {} on?",
    "Is {} switched on?",
    "Is {} turned on?",
    "Is {} enabled?",
    "Is the switch for {} on?",
    "Has {} been switched on?",
    "Is {} active?",
    "Does the switch say that {} is on?",
    "Is the {} setting on?",
)
HOW_MANY_ON = (
    "How many switches are on?",
    "How many settings are switched on?",
    "Count the switches that are on.",
    "How many of the switches are on?",
    "How many options are enabled?",
    "How many settings are active?",
    "What is the number of switches turned on?",
    "How many toggles are on?",
    "How many are switched on?",
)
FIELD = (
    "What is entered for {}?",
    "What is in the {} field?",
    "What does the {} field contain?",
    "What is the {}?",
    "Read the {} field.",
    "What was typed as {}?",
    "Which {} is entered?",
    "What stands in the field {}?",
    "Give me the {} that was entered.",
)
WHO_SAID = (
    'Who wrote "{}"?',
    'Who said "{}"?',
    'Who sent the message "{}"?',
    'From whom is "{}"?',
    'Whose message is "{}"?',
    'Who is the sender of "{}"?',
    'Which person wrote "{}"?',
    'Who typed "{}"?',
    'Name the author of "{}".',
)
WHAT_SAID = (
    "What did {} write?",
    "What does {} say?",
    "What is the message from {}?",
    "Read the message of {}.",
    "What did {} send?",
    "What is {}'s message?",
    "Which message is from {}?",
    "What has {} written?",
    "Tell me what {} wrote.",
)
MENU_AT = (
    "What is the {} menu item?",
    "Which menu item is {}?",
    "Read the {} entry of the menu.",
    "What is the {} entry in the menu?",
    "What stands {} in the menu?",
    "Name the {} menu entry.",
    "Which entry comes {} in the menu?",
    "What does the {} menu entry say?",
    "What is the {} item in the bar?",
)
SELECTED = (
    "Which menu item is selected?",
    "Which entry is highlighted?",
    "What is selected in the menu?",
    "Which menu entry is active?",
    "What is the highlighted item?",
    "Which item is marked?",
    "Name the selected menu item.",
    "Which entry of the menu is chosen?",
    "What menu item is highlighted?",
)
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
ERROR = (
    "What is the error code?",
    "Which error code is shown?",
    "What is the code of the error?",
    "Read the error code.",
    "Which code is given?",
    "What number does the error have?",
    "Give me the error code.",
    "What's the number of the error?",
    "Tell me the error number.",
)
LIST = (
    "Which settings are listed?",
    "List the settings.",
    "What settings are there?",
    "Name the settings on the screen.",
    "Which options are shown?",
    "Read the names of the settings.",
    "What can be switched here?",
    "Which settings do you see?",
    "Name all the settings.",
)
