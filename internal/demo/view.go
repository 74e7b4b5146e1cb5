package demo

import (
	"net/http"
	"net/url"
	"strings"
)

// What the application makes sense of, beyond showing it. The first three are identity headers of the configuration.
const (
	nameHeader    = "X-User-Name"
	sessionHeader = "X-Session-Id"
	levelHeader   = "X-Session-Aal"
	cacheHeader   = "X-Gatehouse-Cache" // where the gateway found the session
)

// A view is what a page shows. All of it comes from the gateway, but the path.
type view struct {
	Path    string
	User    string   // empty if nobody is signed in
	Headers []header // the identity, as it was received
	Cache   string   // empty if nobody was looked up
	People  []person
	Wanted  *url.URL // where the gateway led a browser away from, to sign in; nil if it did not
	Doors   []door
}

type header struct{ Name, Value string }

// A door is a place to go, and the status that the gateway will let it answer with.
type door struct {
	Path, Needs string
	Status      int
	Here        bool
}

// Name is whom to greet.
func (v view) Name() string {
	if v.User == "" {
		return "stranger"
	}
	return v.User
}

// Hit reports whether the gateway knew the session already.
func (v view) Hit() bool { return strings.HasSuffix(v.Cache, "hit") }

// wantedParam is the parameter that tells where to lead back to: that which the gateway adds if its configuration names none.
const wantedParam = "return_to"

// wanted returns the page that address is of, or nil if that is none of this site: anybody may have written the link.
func wanted(r *http.Request, address string) *url.URL {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Host != r.Host {
		return nil
	}
	return u
}

func (x *site) view(r *http.Request) view {
	v := view{Path: r.URL.EscapedPath(), User: r.Header.Get(nameHeader), Cache: r.Header.Get(cacheHeader), People: people}
	v.Wanted = wanted(r, r.URL.Query().Get(wantedParam))
	for _, name := range x.identity {
		for _, value := range r.Header.Values(name) {
			v.Headers = append(v.Headers, header{name, value})
		}
	}
	withSession, withSecondFactor := http.StatusOK, http.StatusOK
	switch level := r.Header.Get(levelHeader); {
	case v.User == "":
		withSession, withSecondFactor = http.StatusUnauthorized, http.StatusUnauthorized
	case level < "aal2":
		withSecondFactor = http.StatusForbidden
	}
	led := func(status int) int {
		if x.leads && status != http.StatusOK {
			return http.StatusFound
		}
		return status
	}
	v.Doors = []door{
		{Path: "/", Needs: "Open to everybody.", Status: http.StatusOK},
		{Path: "/private", Needs: "Needs a session.", Status: led(withSession)},
		{Path: "/admin", Needs: "Needs a session with a second factor.", Status: led(withSecondFactor)},
		{Path: "/sessions/whoami", Needs: "The session itself. The gateway answers, this application is not asked.", Status: withSession},
	}
	for i := range v.Doors {
		v.Doors[i].Here = v.Doors[i].Path == v.Path
	}
	return v
}
