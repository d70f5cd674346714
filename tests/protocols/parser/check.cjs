// node check.cjs asyncapi.yaml < payloads.json     payloads: {message name: payload}
// Prints {"errors": [...], "payloads": {name: [errors]}} as one line of JSON.
const { readFileSync } = require("fs");
const { Parser } = require("@asyncapi/parser");
const Ajv = require("ajv");

(async () => {
  const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
  const errors = diagnostics.filter((d) => d.severity === 0).map((d) => `${(d.path || []).join(".")}: ${d.message}`);
  const payloads = {};
  if (document) {
    const ajv = new Ajv({ strict: false, validateFormats: false });
    for (const [name, value] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
      const schema = document.components().messages().get(name).payload().json();
      const valid = ajv.compile(schema);
      payloads[name] = valid(value) ? [] : valid.errors.map((e) => `${e.instancePath}: ${e.message}`);
    }
  }
  console.log(JSON.stringify({ errors, payloads }));
})();
