// Package policy says what a request may do: which route it takes, what that route asks of a session, and what the application is
// told about it. A [Policy] is compiled once from the configuration, never changes, and is swapped whole on reload.
//
// What one policy makes of one session is a [View]: the identity headers, rendered and checked. A View is computed once a session
// and policy and kept in the session's memo, so that JSON paths never run on the way of a request whose session is known.
//
// Zero values deny: the zero [Verdict] refuses, the zero [Access] refuses, and a path that no route matches has no route.
package policy
