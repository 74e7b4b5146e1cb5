// Package embedded is a session service that stands in for Ory Kratos, Wacht, Crossid or Better Auth, in one small package: for
// development, demonstrations and tests. It is not a place for real accounts: it knows no passwords and no flows. A session begins with an
// admin call of its own, POST /admin/sessions, or on a page where a developer signs in as anybody, /sign-in.
//
// Within it there are sessions as Kratos has them, and the admin API is Kratos' in every dialect. A [Config] names one dialect, which is
// what the public API speaks: its file (public.go, wacht.go, crossid.go, betterauth.go) has its calls, and what whoami says is translated
// from what Kratos says, as by the gateway. So the gateway's own clients need no special case; [Service.Dial] connects them in memory.
//
// The model of Kratos is v26.2.0. Its recorded answers, in testdata, are what the tests compare this package with: statuses, headers,
// bodies, order of keys.
//
// # What it promises
//
//   - A change is in the file before it is in memory, and in memory before it is answered. A change that cannot be written does not
//     happen, and is answered with 500.
//   - [Config.Revoked] is called once for every session that an API call ends, after the end is durable and before any answer tells of
//     it. Ends are: logout, revocation, deletion, and an identity that is deleted or deactivated.
//   - The file, and memory, hold tokens only as SHA-256. Cookies, logout tokens and the tokens of Wacht are not held at all: they are made
//     from a random key that the file does hold, so the file is as secret as a password file, and has mode 0600.
//   - Memory is bounded: so many sessions and so many identities, then 507. Sessions that have long expired make room.
//   - A service that is closed answers 503 to everything, and 401 to nothing.
//
// # Where it differs from Kratos
//
//   - No CSRF cookie is set, since nothing here is protected by one. Errors are JSON whatever the client accepts: there is no error page
//     to send a browser to. After a logout a browser is sent to "/"; return_to is not supported.
//   - A session cookie that cannot be read, beside a good token, is ignored. Kratos finds the session and then answers 500.
//   - GET /self-service/logout ends the session that it looked up. Kratos ends that of the Bearer token, if there is one as well.
//   - Extending never shortens a session, and is always allowed.
//   - An identity has traits and metadata_public; there are no credentials, no metadata_admin and no external_id.
//   - tokenize_as is answered as Kratos does when it has no such template.
//
// Where it differs from the others is in docs/how-to/develop-without-the-service.md.
//
// The renewed cookie has the attribute Secure, as Kratos' has unless it runs in development mode. Browsers take it over plain HTTP
// from localhost only.
package embedded
