// Package pipe is a listener whose connections are in memory, so that a client reaches a server in the same process without a port. It
// works in a testing/synctest bubble.
package pipe
