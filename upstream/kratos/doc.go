// Package kratos asks Ory Kratos, and whatever speaks its public API, whose session a credential stands for: GET /sessions/whoami.
//
// # What is sent
//
// Every question is a GET of one fixed path with one credential in one header line, written here from nothing. The method, path, query,
// cookies and other headers of the client whose request is being judged never reach the service. That is more than tidiness: a Kratos
// that is sent two credentials may answer for the other one, may answer 500, and may renew one person's cookie with another's session.
//
// # What is believed
//
// The status is looked at before anything else, since Kratos sends X-Kratos-Authenticated-Identity-Id and Ory-Session-Cache-For on
// some of its 500s.
//
//   - 200 is a session if the body is one JSON value of at most 64 KiB that says "active": true and names a session and an identity. If
//     it names both and says "active": false, it is a definite no.
//   - 401 is a definite no, [upstream.ErrNoSession].
//   - 403 with Kratos' error object is an [upstream.Refusal]. A 403 without one is somebody else's, such as a firewall's.
//   - Everything else is no answer: other statuses, redirects (which are not followed), broken connections, deadlines, other content.
//
// Kratos answers 401 when its database fails, too. This package cannot see the difference; [Client.Ready] is there for who can.
//
// # Errors
//
// No error tells anything of a credential or of what the service answered beyond its status. An error before the question went out
// wraps [upstream.ErrNotSent]; one after a context ended wraps what the context says.
package kratos
