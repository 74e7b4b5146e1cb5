package doctor

import (
	"net/http"
	"strings"
)

// Front is a kind of front proxy. The empty one is not known.
type Front string

// The front proxies that there is advice for.
const (
	Nginx   Front = "nginx"
	Caddy   Front = "caddy"
	Traefik Front = "traefik"
	HAProxy Front = "haproxy"
	Envoy   Front = "envoy"
)

// Fronts are all front proxies that there is advice for.
func Fronts() []Front { return []Front{Nginx, Caddy, Traefik, HAProxy, Envoy} }

// guessFront tells a front proxy by what it says of itself. Traefik and HAProxy say nothing.
func guessFront(h http.Header) Front {
	said := strings.ToLower(h.Get("Server") + " " + h.Get("Via"))
	for word, front := range map[string]Front{"nginx": Nginx, "openresty": Nginx, "caddy": Caddy, "envoy": Envoy} {
		if strings.Contains(said, word) {
			return front
		}
	}
	return ""
}

// A kind is what is known of a finding before it is made.
type kind struct {
	title, why string
	general    string           // how to mend it, whatever the front proxy
	fronts     map[Front]string // and for one that is known
}

// mend says how to mend it behind a front proxy.
func (k kind) mend(f Front) string {
	if text := k.fronts[f]; text != "" {
		return text
	}
	return k.general
}
