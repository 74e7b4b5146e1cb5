// Package embedded is a session service that speaks the session part of Ory Kratos' public and admin API, in one small package: for
// development, demonstrations and tests. It is not a place for real accounts: it knows no passwords, no flows and no login pages. A
// session begins with an admin call of its own, POST /admin/sessions.
//
// The model is Kratos v26.2.0. Its recorded answers, in testdata, are what the tests compare this package with: statuses, headers,
// bodies, order of keys. So a client of Kratos, the gateway's own included, needs no special case; [Service.Dial] connects it in memory.
//
// # What it promises
//
//   - A change is in the file before it is in memory, and in memory before it is answered. A change that cannot be written does not
//     happen, and is answered with 500.
//   - [Config.Revoked] is called once for every session that an API call ends, after the end is durable and before any answer tells of
//     it. Ends are: logout, revocation, deletion, and an identity that is deleted or deactivated.
//   - The file, and memory, hold tokens only as SHA-256. Cookies and logout tokens are not held at all: they are made from a random key
//     that the file does hold, so the file is as secret as a password file, and has mode 0600.
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
// The renewed cookie has the attribute Secure, as Kratos' has unless it runs in development mode. Browsers take it over plain HTTP
// from localhost only.
package embedded
