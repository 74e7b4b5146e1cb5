package embedded_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

// A capture is one recorded exchange with Kratos v26.2.0: comments, the request and the response as they went over the wire.
type capture struct {
	request string
	resp    *http.Response
	body    string
}

func readCapture(t *testing.T, name string) capture {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".http"))
	if err != nil {
		t.Fatal(err)
	}
	_, exchange, ok1 := strings.Cut(string(text), ">>> REQUEST\n")
	request, response, ok2 := strings.Cut(exchange, "\n<<< RESPONSE\n")
	if !ok1 || !ok2 {
		t.Fatal("not a capture")
	}
	method, _, _ := strings.Cut(request, " ")
	resp, body := readResponse(t, strings.NewReader(response), method)
	return capture{request, resp, body}
}

var (
	uuids       = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times       = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"`)
	lifetimes   = regexp.MustCompile(`Expires=[^;]+; Max-Age=[1-9]\d*;`)
	logouts     = regexp.MustCompile(`ory_lo_[0-9A-Za-z]{32}`)
	cleared     = regexp.MustCompile(`=COOKIE; (Path=/; Expires=Thu, 01 Jan 1970)`)
	credentials = regexp.MustCompile(`ory_st_[0-9A-Za-z]{32}|[0-9A-Za-z_-]{427}=`)
	cookieValue = regexp.MustCompile(`[0-9A-Za-z_-]{427}=`)
	cursors     = regexp.MustCompile(`page_token=(aWQ9|Y3JlYXRlZF9hdD)[0-9A-Za-z_-]+`)
)

// normal renders a response with all that may differ replaced: what has to be equal stays, such as two ids that are the same.
func normal(resp *http.Response, body string) string {
	var b strings.Builder
	fmt.Fprintln(&b, resp.Status)
	for _, name := range slices.Sorted(mapKeys(resp.Header)) {
		for _, v := range resp.Header[name] {
			skip := name == "Date" || name == "Content-Length" || strings.HasPrefix(v, "csrf_token_") // doc.go: there is no CSRF cookie
			if !skip {
				fmt.Fprintf(&b, "%s: %s\n", name, v)
			}
		}
	}
	text := b.String() + "\n" + body
	ids := map[string]string{}
	text = uuids.ReplaceAllStringFunc(text, func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("UUID%d", len(ids)+1)
		}
		return ids[id]
	})
	text = times.ReplaceAllString(text, `"TIME"`)
	text = lifetimes.ReplaceAllString(text, "Expires=TIME; Max-Age=SECONDS;")
	text = logouts.ReplaceAllString(text, "ory_lo_TOKEN")
	text = cookieValue.ReplaceAllString(text, "COOKIE")
	text = cleared.ReplaceAllString(text, "=; $1") // an empty cookie is removed as surely as a full one
	return cursors.ReplaceAllString(text, "page_token=CURSOR")
}

func mapKeys(h http.Header) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range h {
			if !yield(k) {
				return
			}
		}
	}
}

// like makes a session as the one in a body is: its identity, level and devices.
func (w *world) like(body json.RawMessage) embedded.Created {
	w.t.Helper()
	var is struct {
		AAL      string `json:"authenticator_assurance_level"`
		Identity *struct {
			ID             string          `json:"id"`
			Traits         json.RawMessage `json:"traits"`
			MetadataPublic json.RawMessage `json:"metadata_public"`
		} `json:"identity"`
		Devices []embedded.Device `json:"devices"`
	}
	n := user("someone@example.test")
	if json.Unmarshal(body, &is) == nil {
		n.AAL, n.Devices = is.AAL, is.Devices
		if is.Identity != nil {
			n.Identity = &embedded.NewIdentity{ID: is.Identity.ID, Traits: is.Identity.Traits, MetadataPublic: is.Identity.MetadataPublic}
		}
	}
	c := w.create(n)
	time.Sleep(time.Second) // so that no two sessions are of the same age
	return c
}

// A scene is a world, the capture to be played in it, and the session that the capture is about.
type scene struct {
	*world
	capture
	main embedded.Created
}

func (s *scene) replace(old, replacement string) {
	s.t.Helper()
	if !strings.Contains(s.request, old) {
		s.t.Fatalf("the request has no %q", old)
	}
	s.request = strings.ReplaceAll(s.request, old, replacement)
}

// expect changes what is expected, where doc.go says that Kratos is not followed.
func (s *scene) expect(old, replacement string) {
	s.body = strings.ReplaceAll(s.body, old, replacement)
	for _, values := range s.resp.Header {
		for n := range values {
			values[n] = strings.ReplaceAll(values[n], old, replacement)
		}
	}
}

// others makes the sessions of a list, the last first, so that the first is the newest.
func (s *scene) others() (made []embedded.Created) {
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(s.body), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, body := range slices.Backward(list) {
		made = append(made, s.like(body))
	}
	return made
}

func (s *scene) sibling() embedded.Created {
	return s.create(embedded.NewSession{IdentityID: s.main.IdentityID})
}

func (s *scene) state(state string) {
	s.must("PATCH", "/admin/identities/"+s.main.IdentityID, `[{"op":"replace","path":"/state","value":"`+state+`"}]`)
}

func (s *scene) extend() { s.must("PATCH", "/admin/sessions/"+s.main.SessionID+"/extend", "") }

func (s *scene) logoutToken(c embedded.Created) string {
	s.t.Helper()
	var flow struct {
		Token string `json:"logout_token"`
	}
	a := s.public("GET", "/self-service/logout/browser", "", cookieHeader(c))
	if err := json.Unmarshal([]byte(a.body), &flow); err != nil {
		s.t.Fatal(err)
	}
	return flow.Token
}

func (s *scene) renewed() string {
	s.t.Helper()
	cookie, err := http.ParseSetCookie(s.public("GET", "/sessions/whoami", "", cookieHeader(s.main)).header.Get("Set-Cookie"))
	if err != nil {
		s.t.Fatal(err)
	}
	return cookie.Value
}
