// Package soak lets many people use one gateway for a long time, while the application and the session service are killed, started and
// broken at random, and looks for what only shows then: an answer that belongs to somebody else, a request that is answered although it
// may not be, and goroutines, file descriptors or memory that are never given back.
//
// The gateway is the real command in a process of its own. Every page, upload and event carries the identity that the application was
// told and bytes that follow from it, so that every response says whose it is. What happens when follows from -seed, as far as the
// scheduler lets it.
package soak
