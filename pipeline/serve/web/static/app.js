// Brings the pages to life: each part works by itself, and without it the page can still be read and used.
import { colours } from "./colours.js";
import { confirmations } from "./confirm.js";
import { find } from "./find.js";
import { keyboard } from "./keyboard.js";
import { live } from "./live.js";
import { followLog } from "./log.js";
import { sight } from "./sight.js";
import { times } from "./times.js";

const tick = times();
colours();
confirmations();
find();
keyboard();
const log = followLog();
const look = sight();
if (document.body.hasAttribute("data-live")) live(() => { tick(); look(); }, log);
