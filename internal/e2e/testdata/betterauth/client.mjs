// The official client calls a method for who has a cookie: node client.mjs BASE-URL COOKIE METHOD PARAMETERS. It writes what the client
// returns.
import { createAuthClient } from "better-auth/client";

const [baseURL, cookie, method, parameters] = process.argv.slice(2);
const client = createAuthClient({ baseURL });
const { data, error } = await client[method]({ ...JSON.parse(parameters), fetchOptions: { headers: { cookie } } });
console.log(JSON.stringify({ data, error }));
