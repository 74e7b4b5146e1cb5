// Package demo is what `gatehouse demo` runs: the gateway, the embedded session service and an example application in one process, so
// that somebody with nothing but this program can see what a gateway does. Nothing is written to disk, and all of it ends together.
//
// The example application stands where a user's own would. It knows nobody and looks at no cookie: whose request it serves it learns
// from the identity headers that the gateway adds, and all it does beyond showing them is to ask the session service to begin and to
// end sessions. Anybody may sign in as anybody, so a demo is not for more than one machine.
//
// # Promises
//
//   - The gateway is an ordinary one, built from an ordinary configuration that can be looked at.
//   - Unless told otherwise, it listens on 127.0.0.1 only.
//   - What is printed can be pasted into a shell as it stands, and works.
//   - A browser that lacks what a page wants is led to sign in and back, if the gateway listens on loopback. From elsewhere it may have
//     another address than the one that it listens on, and nobody is led.
//   - Nothing that a request carries gets into a page unescaped, no other site can sign anybody in or out, and no page can be framed.
package demo
