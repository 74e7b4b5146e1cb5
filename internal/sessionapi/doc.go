// Package sessionapi knows the session services' own APIs, as far as they end or change sessions: which paths they have, and what a call may
// end. The calls themselves are passed on by the package proxy.
//
// What a call may have ended is forgotten when the service has answered, and before the client has. A call is taken to have changed what it
// can change unless the answer says that it did nothing: an answer that was lost counts as success. Where it cannot be known whom a call
// concerns, more is forgotten than need be, everything in the end. That costs questions, and never lets anybody in.
package sessionapi
