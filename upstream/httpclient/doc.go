// Package httpclient asks a session service over HTTP: what the Stores of all services have in common. It knows no service. It writes
// a credential as a header line or not at all, sends one question, bounds what comes back, and tells an answer from an outage.
//
// What it promises to those who build on it:
//
//   - A question carries the one credential that it is about, and nothing else of the client's.
//   - No redirect is followed, no cookie is kept, and no environment variable leads a question elsewhere.
//   - An error is an outage, and wraps [upstream.ErrNotSent] if no byte of the question has left. It quotes nothing of what was sent or
//     received. A [Reply] is the service's own, whatever its status; what it means is for the Store to say.
package httpclient
