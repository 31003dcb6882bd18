// What a script sees (engine.md §5.8). Evaluated first in every context; gives back one function that the process
// around the engine calls in turn with "run" and "finish". Everything it needs later is taken hold of here, before
// the script can change it.
(function () {
  "use strict";
  const host = globalThis.__host;
  delete globalThis.__host;
  const { stringify, parse } = JSON;
  const { isArray } = Array;
  const { keys, create, defineProperty } = Object;
  const { floor, abs } = Math;
  const { isFinite } = Number;
  const evaluate = globalThis.eval;
  const RealDate = Date;
  const RealPromise = Promise;
  const uncurried = (method) => Function.prototype.call.bind(method);
  const getTime = uncurried(RealDate.prototype.getTime);
  const then = uncurried(RealPromise.prototype.then);

  const QUERY = "xtk.queryDef.ExecuteQuery";
  const EARLIEST = -62135596800000;
  const LATEST = 253402300799999;

  const moment = (value) => {
    try {
      return getTime(value);
    } catch {
      return undefined;
    }
  };

  // Values cross as JSON. What JSON has no form for is an object with one key that begins with a dollar.
  function encode(value, place) {
    switch (typeof value) {
      case "undefined":
        return null;
      case "string":
      case "boolean":
        return value;
      case "number":
        return isFinite(value) ? value : { $number: `${value}` };
      case "bigint":
        return { $int: `${value}` };
      case "object":
        break;
      default:
        throw new TypeError(`${place} is a ${typeof value}, which cannot leave a script.`);
    }
    if (value === null) return null;
    const time = moment(value);
    if (time !== undefined) {
      if (!(time >= EARLIEST && time <= LATEST)) {
        throw new TypeError(`${place} is not a date between the years 1 and 9999.`);
      }
      return { $date: time };
    }
    if (isArray(value)) {
      const list = [];
      for (let i = 0; i < value.length; i++) list[i] = encode(value[i], `${place}[${i}]`);
      return list;
    }
    const map = create(null);
    for (const key of keys(value)) map[key] = encode(value[key], `${place}.${key}`);
    return { $map: map };
  }

  function decode(value) {
    if (value === null || typeof value !== "object") return value;
    if (isArray(value)) {
      for (let i = 0; i < value.length; i++) value[i] = decode(value[i]);
      return value;
    }
    if ("$date" in value) return new RealDate(value.$date);
    if ("$int" in value) return BigInt(value.$int);
    if ("$number" in value) return +value.$number;
    return scope(value.$map, {});
  }

  function scope(entries, into = create(null)) {
    for (const key of keys(entries)) {
      defineProperty(into, key, { value: decode(entries[key]), writable: true, enumerable: true, configurable: true });
    }
    return into;
  }

  function variables(from, name) {
    const found = create(null);
    for (const key of keys(from)) {
      const value = from[key];
      if (value === undefined) continue;
      const place = `${name}.${key}`;
      const encoded = encode(value, place);
      if (encoded !== null && typeof encoded === "object" && (isArray(encoded) || "$map" in encoded)) {
        throw new TypeError(`${place} is an object. A variable is a text, a number, true or false, or a date.`);
      }
      if (encoded !== null && typeof encoded === "object" && "$number" in encoded) {
        throw new TypeError(`${place} is ${value}, which is not a number that can be kept.`);
      }
      found[key] = encoded;
    }
    return found;
  }

  function call(name, ...given) {
    const encoded = [];
    for (let i = 0; i < given.length; i++) encoded[i] = encode(given[i], `argument ${i + 1} of ${name}`);
    const answer = parse(host(stringify([name, encoded])));
    if (answer.error !== undefined) throw new Error(answer.error);
    return decode(answer.value);
  }

  // As in the product, `activity.transitions.extractOutput[0]`: the ways out of a kind, or their settings if the
  // activity has some under that name.
  function byKind(model) {
    const ways = model && model.transitions;
    if (!isArray(ways)) return;
    for (let i = 0; i < ways.length; i++) {
      const kind = ways[i].kind ?? "transition";
      const settings = model.parameters && model.parameters[kind];
      const same = [];
      for (let j = 0; j < ways.length; j++) if ((ways[j].kind ?? "transition") === kind) same[same.length] = ways[j];
      if (!(kind in ways)) defineProperty(ways, kind, { value: isArray(settings) ? settings : same });
    }
  }

  // All but the variables is read-only (§5.8); a silent no would be worse than a loud one.
  function readOnly(target, name, open) {
    if (target === null || typeof target !== "object" || moment(target) !== undefined) return target;
    const refuse = (_, key) => {
      throw new TypeError(`${name}.${String(key)} is read-only in a script. Use ${open ?? "vars"} to keep a value.`);
    };
    return new Proxy(target, {
      get: (from, key) => (key === "vars" ? from.vars : readOnly(from[key], `${name}.${String(key)}`, open)),
      set: refuse,
      defineProperty: refuse,
      deleteProperty: refuse,
      setPrototypeOf: refuse,
    });
  }

  // Letters and examples of formatDate: Y year, M month, B name of the month, D day, A name of the day, J day of the
  // year, W week, H hour, I hour of 12, N minute, S second, P AM or PM. A number before a letter is its width; an l
  // after A or B gives the long name, an i the English one (as here they all are).
  const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
  const MONTHS = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
  ];
  const DAY = 86400000;

  function week(date) {
    // ISO 8601: the week of the year's first Thursday is the first.
    const day = floor(date.getTime() / DAY);
    const thursday = day - ((date.getUTCDay() + 6) % 7) + 3;
    const year = new RealDate(thursday * DAY).getUTCFullYear();
    return 1 + floor((thursday - RealDate.UTC(year, 0, 1) / DAY) / 7);
  }

  function formatDate(value, format, zone) {
    const time = moment(value);
    if (time === undefined || time !== time) throw new TypeError("formatDate needs a valid date.");
    const offset = zone ? call("zoneOffset", new RealDate(time), zone) : -new RealDate(time).getTimezoneOffset() * 60;
    const date = new RealDate(time + offset * 1000);
    const hour = date.getUTCHours();
    const numbers = {
      Y: date.getUTCFullYear(),
      M: date.getUTCMonth() + 1,
      D: date.getUTCDate(),
      J: 1 + floor((date.getTime() - RealDate.UTC(date.getUTCFullYear(), 0, 1)) / DAY),
      W: week(date),
      H: hour,
      I: hour % 12 || 12,
      N: date.getUTCMinutes(),
      S: date.getUTCSeconds(),
    };
    return `${format}`.replace(/%(\d*)([YMDJWHINSPAB%])([li]*)/g, (whole, width, letter, length) => {
      if (letter === "%") return `%${length}`;
      if (letter === "P") return (hour < 12 ? "AM" : "PM") + length;
      if (letter === "A" || letter === "B") {
        const name = letter === "A" ? DAYS[date.getUTCDay()] : MONTHS[date.getUTCMonth()];
        return length.includes("l") ? name : name.slice(0, 3);
      }
      const digits = `${numbers[letter]}`.padStart(+width, "0");
      return (letter === "Y" && width && +width < digits.length ? digits.slice(-width) : digits) + length;
    });
  }

  function parseTimeStamp(text) {
    if (moment(text) !== undefined) return text;
    const form = /^\s*(\d{4})[-/](\d\d?)[-/](\d\d?)(?:[ T](\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{1,3})\d*)?)?)?\s*(Z|[-+]\d\d:?\d\d)?\s*$/;
    const found = form.exec(text);
    if (!found) throw new TypeError(`parseTimeStamp cannot read ${stringify(`${text}`)}.`);
    const [, year, month, day, hour = 0, minute = 0, second = 0, fraction = "0", zone] = found;
    const parts = [+year, month - 1, +day, +hour, +minute, +second, +fraction.padEnd(3, "0")];
    if (!zone) return new RealDate(...parts);
    const sign = zone[0] === "-" ? 1 : -1;
    const shift = zone === "Z" ? 0 : sign * (zone.slice(1, 3) * 60 + +zone.slice(-2));
    return new RealDate(RealDate.UTC(...parts) + shift * 60000);
  }

  function transitionName(given) {
    return given !== null && typeof given === "object" ? `${given.name}` : given === undefined ? "" : `${given}`;
  }

  function taskOf(data, taskVars, vars) {
    const byName = (list, name) => list.find((each) => each.name === name) ?? null;
    const byType = (type) => data.transitions.find((each) => each.type === type) ?? null;
    return {
      ...scope(data.task, {}),
      vars: taskVars,
      transitions: data.transitions,
      transitionByName: (name) => byName(data.transitions, name),
      transitionByType: byType,
      doneTransition: () => byType("done") ?? byName(data.transitions, "done"),
      errorTransition: () => byType("error") ?? byName(data.transitions, "error"),
      incomingTransitionByName: (name) => byName(data.incoming, name),
      setCompleted: () => call("task.setCompleted"),
      postEvent: (transition) => call("task.postEvent", transitionName(transition), vars),
      setNextProcessingDate: (date) => call("task.setNextProcessingDate", date),
    };
  }

  function productClock(now) {
    const ahead = now - RealDate.now();
    if (abs(ahead) < 1000) return;
    const present = () => RealDate.now() + ahead;
    globalThis.Date = new Proxy(RealDate, {
      construct: (target, given, made) => Reflect.construct(target, given.length ? given : [present()], made),
      apply: () => new RealDate(present()).toString(),
      get: (target, key) => (key === "now" ? present : target[key]),
    });
    RealDate.prototype.constructor = globalThis.Date;
  }

  function install(name, value) {
    const path = name.split(".");
    const last = path.pop();
    let place = globalThis;
    for (const step of path) place = place[step] ??= {};
    place[last] = value;
  }

  function guard(name, value) {
    defineProperty(globalThis, name, {
      get: () => value,
      set: () => {
        throw new TypeError(`${name} cannot be replaced. Set its members instead.`);
      },
    });
  }

  let vars, instanceVars, taskVars, activity, outcome, promised;

  function begin(data) {
    productClock(data.now);
    vars = scope(data.vars);
    instanceVars = scope(data.instanceVars);
    taskVars = scope(data.taskVars);
    activity = data.activity;
    byKind(activity);
    for (const list of [data.transitions, data.incoming]) {
      for (let i = 0; i < list.length; i++) list[i] = scope(list[i], {});
    }
    guard("vars", vars);
    guard("instance", readOnly({ ...scope(data.instance, {}), vars: instanceVars }, "instance", "instance.vars"));
    globalThis.task = readOnly(taskOf(data, taskVars, vars), "task", "task.vars");
    globalThis.activity = data.open ? activity : readOnly(activity, "activity");
    globalThis.events = readOnly(data.events.map((each) => scope(each, {})), "events");
    globalThis.event = data.events.length === 1 ? globalThis.events[0] : undefined;
    for (const level of ["Info", "Warning", "Error"]) {
      install(`log${level}`, (message) => void call("log", level.toLowerCase(), `${message}`));
    }
    for (const name of data.functions) install(name, (...given) => call(name, ...given));
    if (data.functions.includes(QUERY)) {
      const create = (definition) => ({ ExecuteQuery: () => call(QUERY, definition) });
      install("xtk.queryDef.create", create);
      install("NLWS.xtkQueryDef.create", create);
    }
    install("getOption", (name) => call("getOption", name));
    install("setOption", (name, value) => void call("setOption", name, value));
    install("loadFile", (path) => call("loadFile", path));
    install("getCurrentDate", () => new globalThis.Date());
    install("formatDate", formatDate);
    install("parseTimeStamp", parseTimeStamp);
  }

  function failure(error) {
    // The engine throws null when it has no memory for an error.
    if (error === null) return null;
    try {
      if (error instanceof Error || error instanceof DOMException) {
        return { name: `${error.name}`, message: `${error.message}`, stack: `${error.stack ?? ""}` };
      }
      return { name: "", message: `${error}`, stack: "" };
    } catch {
      return { name: "", message: "An error without a text was thrown.", stack: "" };
    }
  }

  function run(source, data) {
    try {
      begin(parse(data));
      outcome = evaluate(source);
      if (outcome instanceof RealPromise) {
        promised = { state: "open" };
        then(
          outcome,
          (value) => (promised = { state: "kept", value }),
          (error) => (promised = { state: "broken", error }),
        );
      }
    } catch (error) {
      promised = { state: "broken", error };
    }
  }

  function finish() {
    try {
      if (promised !== undefined) {
        if (promised.state === "open") throw new Error("The script waits for a promise that nothing will keep.");
        if (promised.state === "broken") return stringify({ failed: failure(promised.error) });
        outcome = promised.value;
      }
      let returned = null;
      try {
        returned = encode(outcome, "The result");
      } catch {
        // Only what can be said in data is given back.
      }
      return stringify({
        vars: variables(vars, "vars"),
        instanceVars: variables(instanceVars, "instance.vars"),
        taskVars: variables(taskVars, "task.vars"),
        activity: activity === undefined ? null : activity,
        returned,
        truth: !!outcome,
      });
    } catch (error) {
      return stringify({ failed: failure(error) });
    }
  }

  return (action, source, data) => (action === "run" ? run(source, data) : finish());
})();
