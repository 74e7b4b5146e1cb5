// Package ext has the two types by which Traefik lets others extend its configuration. They are empty, as in Traefik itself, whose module
// of this name the module proxy does not serve.
package ext

// HTTP extends dynamic.HTTPConfiguration.
type HTTP struct{}

// Router extends dynamic.Router.
type Router struct{}
