// Package upstreamtest holds what tests need in place of a session service, and what every [upstream.Store] must pass.
//
//   - [TestStore] is the contract of [upstream.Store] as a test suite.
//   - [Fake] is a Store for tests of what stands in front of one: a cache, a limit, a gate.
//   - [Stub] is an HTTP service of which a test says all, and [Dialect] what there is to know of one kind of session service to play it.
//   - [Service] is the session part of Ory Kratos over HTTP, with faults, for tests of the whole.
//
// Fake and Service count what they are asked, and can hold their answers back: a test waits with Await until a question has arrived,
// changes the world, and lets the answer go. Neither sleeps unless told to, and both can be used inside a testing/synctest bubble.
package upstreamtest
