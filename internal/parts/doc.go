// Package parts says which of the optional parts are in this build: those that a gateway can do without, and whose libraries are most of
// the binary. A build with the tag core has none of them.
//
// Whoever depends on a part asks here when the configuration is loaded, so that a gateway without it does not start, and says why.
package parts
