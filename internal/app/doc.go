// Package app puts the parts together: it turns a configuration into a running gateway, and ends it in order. It is the only package that
// knows all the others; none of them knows it.
package app
