package config

import (
	"fmt"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"
)

// Listeners are all places where requests are served. In a file, an address stands for a list with it alone, and in a list for a section
// with it alone.
type Listeners []Listener

// TLSOf returns how HTTPS is served by a listener, or nil if it serves HTTP.
func (c *Config) TLSOf(listener Listener) *TLS {
	if listener.TLS != nil {
		return listener.TLS
	}
	return c.TLS
}

// listeners decodes listeners in each of their forms.
func (l *loader) listeners(path string, n *yaml.Node) Listeners {
	switch n.Kind {
	case yaml.ScalarNode:
		all := make(Listeners, 1)
		l.single(path, n, reflect.ValueOf(&all[0].Address).Elem())
		return all
	case yaml.SequenceNode:
		all := make(Listeners, len(n.Content))
		for i, item := range n.Content {
			child := fmt.Sprintf("%s[%d]", path, i)
			l.set[child] = l.at(item)
			if item.Kind == yaml.MappingNode {
				l.value(child, item, reflect.ValueOf(&all[i]).Elem())
			} else {
				l.value(child, item, reflect.ValueOf(&all[i].Address).Elem())
			}
		}
		return all
	default:
		l.fail(l.at(n), path, "want an address such as :8080, or a list, got %s", kindOf(n))
		return nil
	}
}

// node returns what decodes to the listeners, in the shortest form.
func (all Listeners) node() *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, listener := range all {
		if listener == (Listener{Address: listener.Address}) {
			list.Content = append(list.Content, word(listener.Address))
		} else {
			list.Content = append(list.Content, node(reflect.ValueOf(listener)))
		}
	}
	if len(all) == 1 && list.Content[0].Kind == yaml.ScalarNode {
		return list.Content[0]
	}
	return list
}

// addressPath returns the path of the address of a listener, as it was spelt.
func (l *loader) addressPath(i int) string {
	item := fmt.Sprintf("listen[%d]", i)
	for _, path := range []string{item + ".address", item} {
		if _, ok := l.set[path]; ok {
			return path
		}
	}
	return "listen"
}

// validateListeners checks all that is listened on, and that no two addresses are the same.
func (l *loader) validateListeners(c *Config) {
	type address struct{ path, address string }
	var addresses []address
	for i, listener := range c.Listen {
		path := l.addressPath(i)
		addresses = append(addresses, address{path, listener.Address})
		if listener.Address == "" && path != "listen" {
			l.report(fmt.Sprintf("listen[%d].address", i), "is missing: say where requests are served, such as :8443")
		} else {
			l.check(path, addressFault(listener.Address, true))
		}
	}
	if len(c.Listen) == 0 {
		l.report("listen", "nobody could connect: name an address, such as :8080")
	}
	others := []address{{"admin", c.Admin}, {"forward_auth.grpc_listen", c.ForwardAuth.GRPCListen}}
	for _, u := range c.Services() {
		if e := u.Embedded; e != nil {
			others = append(others, address{u.Key + ".embedded.listen", e.Listen}, address{u.Key + ".embedded.admin_listen", e.AdminListen})
		}
	}
	for _, other := range others {
		if other.address != "" { // not turned off
			l.check(other.path, addressFault(other.address, false))
			addresses = append(addresses, other)
		}
	}
	for i, a := range addresses {
		for _, b := range addresses[:i] {
			if sameAddress(a.address, b.address) {
				l.report(a.path, "is the address of %s (%s) too: give it one of its own", b.path, l.where(b.path))
			}
		}
	}
	l.validatePeers(c)
	l.validateTLS("tls", c.TLS)
	for i, listener := range c.Listen {
		l.validateTLS(fmt.Sprintf("listen[%d].tls", i), listener.TLS)
	}
}

// validatePeers checks who is trusted, and that there is somebody who can speak the PROXY protocol where it is spoken.
func (l *loader) validatePeers(c *Config) {
	for i, p := range c.TrustedProxies {
		path := fmt.Sprintf("trusted_proxies[%d]", i)
		if p.Unix && !slices.ContainsFunc(c.Listen, func(listener Listener) bool { return isSocket(listener.Address) }) {
			l.report(path, "unix is whoever connects to the socket that is listened on, but listen (%s) is not a socket", l.where("listen"))
		}
		if first := slices.Index(c.TrustedProxies, p); first < i {
			l.report(path, "is the same as trusted_proxies[%d]: remove one", first)
		}
	}
	for i, listener := range c.Listen {
		canConnect := func(p Peer) bool { return isSystemd(listener.Address) || p.Unix == isSocket(listener.Address) }
		if listener.ProxyProtocol && !slices.ContainsFunc(c.TrustedProxies, canConnect) {
			l.report(fmt.Sprintf("listen[%d].proxy_protocol", i), "nobody could connect: name the load balancer in trusted_proxies (%s)",
				l.where("trusted_proxies"))
		}
	}
}

func (l *loader) validateTLS(path string, t *TLS) {
	if t == nil {
		return
	}
	if t.CertFile == "" {
		l.report(path+".cert_file", "is missing: name the file with the certificate, in PEM")
	}
	if t.KeyFile == "" {
		l.report(path+".key_file", "is missing: name the file with the private key, in PEM")
	}
	switch {
	case l.failed[path+".client_auth"]: // what was meant cannot be known
	case t.ClientAuth != ClientAuthNone && t.ClientCAFile == "":
		l.report(path+".client_auth", "client certificates could not be verified: name the file with their authorities in client_ca_file")
	case t.ClientAuth == ClientAuthNone && t.ClientCAFile != "":
		l.report(path+".client_ca_file",
			"nobody is asked for a certificate: add `client_auth: optional` or `client_auth: require`, or remove this")
	}
}
