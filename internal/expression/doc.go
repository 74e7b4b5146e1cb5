// Package expression is the language in which an operator says what a session must be like beyond what has a key of its own: the Common
// Expression Language, https://cel.dev, over one variable, session, which is the session service's own statement as JSON.
//
//	session.identity.traits.role in ["admin", "editor"]
//
// The other subject of an expression is what a service answered when it was asked for a session: status, headers and body.
//
// An expression is compiled and type-checked when the configuration is loaded. What it says of its subject depends on nothing else:
// there is no clock, no network and no chance in it. It always ends, after a bounded number of steps. It changes nothing.
//
// This is the only package that knows the library behind the language, so that a build could do without both.
package expression
