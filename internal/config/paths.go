package config

import (
	"maps"
	"slices"
	"strings"
)

// sessionPathFault says what is wrong with a path into the session, or "". what holds the value that is there.
func sessionPathFault(path, what string) string {
	const want = "want a path into the session, such as identity.traits.email, got "
	switch {
	case path == "":
		return "the path is missing: say which part of the session the " + what + " holds, such as identity.traits.email"
	case strings.HasPrefix(path, "@"), strings.HasPrefix(path, "!"), strings.HasPrefix(path, ".."):
		return want + "a GJSON modifier or literal: " + quote(path)
	case strings.Contains(path, "${"), strings.Contains(path, "{{"):
		return suggest(want+"a template, which nothing fills in: "+quote(path), meantPath(path))
	case path == "$", strings.HasPrefix(path, "$."), strings.HasPrefix(path, "$["):
		return suggest(want+"JSONPath: "+quote(path), meantPath(path))
	case strings.HasPrefix(path, "."), strings.HasPrefix(path, "/"):
		return suggest(want+"one that begins with no name: "+quote(path), meantPath(path))
	default:
		return ""
	}
}

// meantPath returns the path that somebody meant who wrote it in another language, or "".
func meantPath(path string) string {
	if strings.HasPrefix(path, "/") { // RFC 6901
		path = strings.ReplaceAll(path, "/", ".")
	}
	names := strings.Split(strings.Trim(path, "${} ."), ".")
	if len(names) == 1 || slices.ContainsFunc(names, func(name string) bool { return name == "" || plainName(name) != name }) {
		return ""
	}
	return strings.Join(names, ".")
}

// kratosPaths are what Kratos' answer to whoami is known to have, the identity by its parts: Session and Identity of its API reference
// (https://www.ory.com/docs/kratos/reference/api), without what only administrators see. It grows.
func kratosPaths() []string {
	return []string{
		"id", "active", "expires_at", "authenticated_at", "authenticator_assurance_level", "authentication_methods", "issued_at", "devices",
		"tokenized", "identity", "identity.id", "identity.external_id", "identity.schema_id", "identity.schema_url", "identity.state",
		"identity.state_changed_at", "identity.traits", "identity.verifiable_addresses", "identity.recovery_addresses",
		"identity.metadata_public", "identity.organization_id", "identity.region", "identity.created_at", "identity.updated_at",
	}
}

// unknownToKratos returns the beginning of a path that Kratos is not known to have, and the path that may have been meant, or "". The
// beginning is empty if there is nothing wrong with the path. Only plain names are judged.
func unknownToKratos(path string) (unknown, meant string) {
	first := plainName(path)
	both := first
	if rest := path[len(first):]; first != "" && rest != "" && plainName(rest[1:]) != "" {
		both += "." + plainName(rest[1:])
	}
	known := kratosPaths()
	within := first == "identity"
	switch {
	case first == "", !within && slices.Contains(known, first), within && slices.Contains(known, both):
		return "", ""
	case within:
		unknown = both
	case slices.Contains(known, "identity."+first):
		return first, "identity." + path
	default:
		unknown = first
	}
	for _, word := range []string{both, unknown} {
		if near := Nearest(word, known); near != "" {
			return unknown, near + path[len(word):]
		}
	}
	return unknown, ""
}

// plainName returns the name that a path begins with, up to a dot or bar or to the end. It is empty if GJSON reads more in it than a name.
func plainName(path string) string {
	end := strings.IndexAny(path, ".|")
	if end < 0 {
		end = len(path)
	}
	special := func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if strings.ContainsFunc(path[:end], special) {
		return ""
	}
	return path[:end]
}

// warnOfPaths says which paths into the session lead nowhere, where only Kratos says what they are looked up in.
func (c *Config) warnOfPaths(warn func(format string, args ...any)) {
	services := c.Services()
	// judge warns of a path that is looked up in what some services say. Others may well have it.
	judge := func(at, path string, in []NamedUpstream) {
		if len(in) == 0 || slices.ContainsFunc(in, func(u NamedUpstream) bool { return !u.saysLikeKratos() }) {
			return
		}
		if unknown, meant := unknownToKratos(path); unknown != "" {
			warn("%s: %s", at, suggest("Kratos is not known to say "+unknown+", and nothing is sent without a value", meant))
		}
	}
	for _, h := range c.IdentityHeaders {
		judge(join("identity_headers", h.Name), h.Path, slices.DeleteFunc(slices.Clone(services), func(u NamedUpstream) bool {
			_, own := u.HeadersOf()[h.Name]
			return own
		}))
	}
	for _, u := range services {
		for _, h := range u.IdentityHeaders {
			judge(join(u.Key+".identity_headers", h.Name), h.Path, []NamedUpstream{u})
		}
	}
	if c.IdentityToken != nil {
		for _, name := range slices.Sorted(maps.Keys(c.IdentityToken.Claims)) {
			judge(join("identity_token.claims", name), c.IdentityToken.Claims[name], services)
		}
	}
}

// saysLikeKratos reports whether what a service says of a session is what Kratos says.
func (u *Upstream) saysLikeKratos() bool {
	if u.Embedded != nil {
		return u.Embedded.StandsFor().Kratos != nil
	}
	return u.Kratos != nil
}
