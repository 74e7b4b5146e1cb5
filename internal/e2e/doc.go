// Package e2e tests Gatehouse against real clients and servers. It is a module of its own, so that what they bring along never becomes a
// dependency of the gateway.
package e2e
