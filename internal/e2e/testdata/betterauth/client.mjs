// The official client asks whose session a cookie is: node client.mjs BASE-URL COOKIE. It writes what the client returns.
import { createAuthClient } from "better-auth/client";

const [baseURL, cookie] = process.argv.slice(2);
const client = createAuthClient({ baseURL });
const { data, error } = await client.getSession({ fetchOptions: { headers: { cookie } } });
console.log(JSON.stringify({ data, error }));
