// The official client asks what an application asks: node client.mjs BASE-URL CALLS. The calls are an array of the name of a method and its
// parameters; "next" as page token is that of the answer before. It writes the status, body and number of sessions in all of each answer.
import { Configuration, FrontendApi } from "@ory/client";

const [basePath, calls] = process.argv.slice(2);
const client = new FrontendApi(new Configuration({ basePath }));
const answers = [];
let next;
for (const [method, parameters] of JSON.parse(calls)) {
  if (parameters.pageToken === "next") parameters.pageToken = next;
  const { status, data, headers } = await client[method](parameters).catch((error) => {
    if (!error.response) throw error;
    return error.response;
  });
  next = /page_token=([^&>]+)[^>]*>; rel="next"/.exec(headers.link ?? "")?.[1];
  answers.push({ status, data: data || null, total: Number(headers["x-total-count"] ?? 0) });
}
console.log(JSON.stringify(answers));
