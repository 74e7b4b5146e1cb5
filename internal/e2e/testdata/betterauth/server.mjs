// A Better Auth server that keeps everything in memory, and an application beside it that says who Gatehouse says is asking. It listens on a
// free port of 127.0.0.1, tells it on standard output, and ends when standard input does.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const baseURL = `http://127.0.0.1:${server.address().port}`;
  const auth = betterAuth({
    baseURL,
    secret: "a secret of this test and of nothing else",
    database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
  });
  const handle = toNodeHandler(auth);
  server.on("request", (request, response) => {
    if (request.url.startsWith("/api/auth/")) return handle(request, response);
    response.end(`user ${request.headers["x-user-id"] ?? "nobody"}`);
  });
  console.log(baseURL);
});
process.stdin.resume().on("end", () => process.exit());
