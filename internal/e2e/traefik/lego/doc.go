// Package lego stands in for the ACME client of Traefik, which the middleware under test has nothing to do with, but cannot be built
// without. The real one brings the clients of some two hundred DNS providers along, some of which the module proxy does not serve. What is
// here obtains no certificates.
package lego
