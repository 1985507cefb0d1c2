// A certified identity provider for the tests: `node issuer.mjs MODULES ISSUER CONSOLE_URL [FOLDER]`.
// It listens at the issuer's address; with TLS, by issuer.crt and issuer.key of the folder. Its login
// page takes any name.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, issuer, consoleUrl, folder] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);

const groups = new Map();

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "console",
      client_secret: "a secret of the tests: +%/",
      redirect_uris: [`${consoleUrl}/console/callback`],
      post_logout_redirect_uris: [`${consoleUrl}/console/signed-out`],
      backchannel_logout_uri: `${consoleUrl}/console/backchannel-logout`,
      backchannel_logout_session_required: true,
      require_auth_time: true,
    },
  ],
  claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email"], groups: ["groups"] },
  scopes: ["openid", "profile", "email", "groups"],
  // Its own guard refuses addresses on loopback, where the console of the tests is.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  pkce: { required: () => true },
  cookies: { keys: ["tests"] },
  features: {
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    devInteractions: { enabled: true },
  },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      name: `The person ${id}`,
      preferred_username: id,
      email: `${id}@example.com`,
      groups: groups.get(id) ?? [],
    }),
  }),
});

// PUT /test/groups/tina?names=a,b
provider.use(async (context, next) => {
  const found = /^\/test\/groups\/(\w+)$/.exec(context.path);
  if (!found) return next();
  groups.set(found[1], context.query.names ? context.query.names.split(",") : []);
  context.status = 204;
});

const read = (name) => readFileSync(`${folder}/${name}`);
const server = folder
  ? https.createServer({ cert: read("issuer.crt"), key: read("issuer.key") }, provider.callback())
  : http.createServer(provider.callback());
const { hostname, port } = new URL(issuer);
server.listen(Number(port), hostname, () => console.log("ready"));
