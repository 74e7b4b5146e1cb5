package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/doctor"
)

func options(t *testing.T, base string) doctor.Options {
	t.Helper()
	at := func(path string) *url.URL {
		u, err := url.Parse(base + path)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	return doctor.Options{
		Target: at("/private"), Public: at("/assets/style.css"), Echo: at("/private/echo"), Logout: at("/sign-out"),
		Credential: doctor.Credential{Cookie: secret}, CookieName: "ory_kratos_session", Headers: []string{"X-User-Id"}, Identity: identity,
		LogoutWait: 200 * time.Millisecond,
	}
}

func ids(r *doctor.Report) (list []string) {
	for _, f := range r.Findings {
		list = append(list, f.ID)
	}
	return list
}

// TestWeaknesses examines deployments that are sound but for one weakness.
func TestWeaknesses(t *testing.T) {
	f := func(weak string, want ...string) {
		t.Run(weak, func(t *testing.T) {
			t.Parallel()
			fake := startFake(t, weak)
			o := options(t, fake.url)
			if weak == "logout late" {
				o.LogoutWait = 12 * time.Second // which is not waited for to its end
			}
			r, err := doctor.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, ids(r)); diff != "" {
				t.Errorf("findings: %s\n%+v", diff, r.Findings)
			}
			if got := int(fake.requests.Load()); got != r.Requests || got > doctor.MostRequests {
				t.Errorf("%d requests were sent, and %d reported", got, r.Requests)
			}
			secretless(t, r)
			complete(t, r)
		})
	}
	f("")
	f("open", "open")
	f("fails", "failing")
	f("not found", "unclear")
	f("forbids")
	f("no route", "forbidden")
	f("cacheable", "cacheable")
	f("no cache control", "not_no_store")
	f("explains", "reasons_shown")
	f("any cookie", "garbage_accepted", "logout_ignored")
	f("garbage fails", "garbage_fails")
	f("large cookie", "large_cookie")
	f("forwarded uri", "claim_believed")
	f("original url", "claim_believed")
	f("local address", "claim_believed")
	f("health check", "claim_believed")
	f("identity opens", "identity_believed")
	f("application routes", "header_routes")
	f("application routes to one page", "header_routes")
	f("echoes", "rewrite_passes") // what an application shows of a request is not another page
	f("echoes as CGI", "rewrite_passes")
	f("echoes what it knows", "rewrite_passes")
	f("echoes names")
	f("echoes, and never the same", "rewrite_passes")
	f("parameters", "path_passes")
	f("double slash", "path_passes")
	f("catch-all") // the application has one page for all names, which is no weakness
	f("method", "method_passes")
	f("options", "method_passes")
	f("empty options", "options_answered")
	f("version", "method_passes")
	f("upgrade", "upgrade_passes")
	f("redirect", "redirect_bent")
	f("metrics", "admin_exposed")
	f("endpoint", "endpoint_exposed")
	f("no identity", "identity_missing")
	f("spoofed", "identity_spoofed")
	f("alias", "alias_passes")
	f("dropped", "identity_dropped")
	f("rewrite headers", "rewrite_passes")
	f("forwards cookie", "credential_forwarded")
	f("logout late", "logout_late")
	f("logout ignored", "logout_ignored")
}

// The admin listener is looked for at its own port: not on this machine unless that is named, and what else listens there is no finding.
func TestAdminPort(t *testing.T) {
	f := func(page string, want ...string) {
		t.Helper()
		admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) }))
		defer admin.Close()
		o := options(t, startFake(t, "").url)
		_, o.AdminPort, _ = strings.Cut(admin.Listener.Addr().String(), ":")
		r, err := doctor.Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, ids(r)); diff != "" {
			t.Errorf("%q: findings: %s", page, diff)
		}
	}
	f("go_goroutines 1\ngatehouse_requests_total 1\n", "admin_exposed")
	f("go_goroutines 1\nprometheus_build_info 1\n")

	r, err := doctor.Run(t.Context(), options(t, startFake(t, "").url))
	if err != nil || !slices.ContainsFunc(r.NotChecked, func(u doctor.Unchecked) bool { return strings.Contains(u.What, "admin listener") }) {
		t.Errorf("%v, not checked: %v", err, r)
	}
}

// TestPrint holds the width of what is printed for people. What was sent is not broken up.
func TestPrint(t *testing.T) {
	r, err := doctor.Run(t.Context(), options(t, startFake(t, "spoofed").url))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.Print(&text); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		if len(line) > 81 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	if want := "Found: 1 critical. Not checked: 2.\n"; !strings.HasSuffix(text.String(), want) {
		t.Errorf("the last line is not %q", want)
	}
}

// secretless fails if the credential is anywhere in a report.
func secretless(t *testing.T, r *doctor.Report) {
	t.Helper()
	var text bytes.Buffer
	if err := r.Print(&text); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if all := text.String() + string(out) + fmt.Sprintf("%+v %#v", r, r); strings.Contains(all, secret) {
		t.Errorf("the credential is in the report:\n%s", all)
	}
}

// complete fails if a finding does not say all that it should.
func complete(t *testing.T, r *doctor.Report) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Title == "" || f.Why == "" || f.Mend == "" || len(f.Evidence) == 0 || f.Evidence[0].Came == "" || len(f.Evidence[0].Sent) == 0 {
			t.Errorf("a finding is incomplete: %+v", f)
		}
	}
}

// TestLess examines with less than there could be: what is missing is said, and nothing is claimed about it.
func TestLess(t *testing.T) {
	f := func(name, weak string, change func(o *doctor.Options), findings []string, unchecked ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := startFake(t, weak)
			o := options(t, fake.url)
			change(&o)
			r, err := doctor.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range r.NotChecked {
				got = append(got, u.What)
			}
			if diff := cmp.Diff(findings, ids(r)); diff != "" {
				t.Errorf("findings: %s\n%+v", diff, r.Findings)
			}
			for _, want := range unchecked {
				if !slices.Contains(got, want) {
					t.Errorf("it does not say that this was not checked: %s; but %q", want, got)
				}
			}
		})
	}
	const bites, headers = "whether a sign-out bites", "which headers reach the application"
	f("nothing", "", func(o *doctor.Options) {
		*o = doctor.Options{Target: o.Target, CookieName: o.CookieName, Headers: o.Headers}
	}, nil, "ways from a public path to the page", "whether a session is let in, and who it is taken for", headers, bites)
	f("no session, and a public echo", "alias", func(o *doctor.Options) {
		o.Credential, o.Echo.Path = doctor.Credential{}, "/assets/echo"
	}, []string{"alias_passes"}, bites)
	f("no session, and a path that passes", "parameters", func(o *doctor.Options) { o.Credential = doctor.Credential{} }, []string{"path_passes"}, headers)
	f("a token", "", func(o *doctor.Options) { o.Credential = doctor.Credential{Token: secret} }, nil)
	f("an invalid session", "", func(o *doctor.Options) { o.Credential.Cookie = "old" }, []string{"session_refused"}, bites, headers)
	f("a public page that is not public", "", func(o *doctor.Options) { o.Public.Path = "/other" }, nil, "ways from a public path to the page")
	f("an echo that does not echo", "", func(o *doctor.Options) { o.Echo.Path = "/private" }, nil, headers)
	f("an unknown identity", "", func(o *doctor.Options) { o.Identity = "" }, nil, "whether the identity that reaches the application is the right one")
	f("an unknown identity that is missing", "no identity", func(o *doctor.Options) { o.Identity = "" }, []string{"identity_missing"})
	f("somebody else", "", func(o *doctor.Options) { o.Identity = "mallory" }, []string{"identity_missing"})
	f("a sign-out that fails", "", func(o *doctor.Options) { o.Logout.Path = "/nowhere" }, nil, bites)
	f("a sign-out in two steps", "", func(o *doctor.Options) { o.Logout.Path = "/sign-out/browser" }, nil)
	f("a sign-out in two steps that bites late", "logout late", func(o *doctor.Options) { o.Logout.Path = "/sign-out/browser" }, []string{"logout_late"})
	f("no session, and an echo", "echoes", func(o *doctor.Options) {
		o.Credential, o.Echo.Path = doctor.Credential{}, "/assets/echo"
	}, []string{"rewrite_passes"})
	f("no session, and a header that routes", "application routes to one page", func(o *doctor.Options) { o.Credential = doctor.Credential{} },
		[]string{"header_routes"})
	f("pages that differ each time", "echoes, and never the same", func(*doctor.Options) {}, []string{"rewrite_passes"},
		"headers that turn a public page into another one")
	f("a renewal that is due", "", func(o *doctor.Options) { o.RenewalDue = true }, []string{"renewal_lost"})
	f("a renewal that comes", "renews", func(o *doctor.Options) { o.RenewalDue = true }, nil)
}

// TestNotReached examines deployments where nobody reaches the page: nothing is said to be as it should be, and no session is blamed.
func TestNotReached(t *testing.T) {
	f := func(weak, want string, credential doctor.Credential) {
		t.Helper()
		o := options(t, startFake(t, weak).url)
		o.Credential = credential
		r, err := doctor.Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{want}, ids(r)); diff != "" || len(r.Passed) > 0 || r.Sound() {
			t.Errorf("%s: findings: %s\nas it should be: %q", weak, diff, r.Passed)
		}
		if !slices.ContainsFunc(r.NotChecked, func(u doctor.Unchecked) bool { return u.What == "whether anything is as it should be" }) {
			t.Errorf("%s: not checked: %v", weak, r.NotChecked)
		}
	}
	for _, c := range []doctor.Credential{{}, {Cookie: secret}, {Token: secret}} {
		f("no route", "forbidden", c)
		f("no host", "forbidden", c)
		f("no page", "unclear", c)
		f("no upstream", "failing", c)
	}
	f("forbids", "forbidden", doctor.Credential{}) // who has a session is let in, but there is none to see it with
}

// TestHarmless sends nothing that could change something, and does not sign out unless told to.
func TestHarmless(t *testing.T) {
	fake := startFake(t, "")
	o := options(t, fake.url)
	o.Logout = nil
	if _, err := doctor.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	close(fake.methods)
	for method := range fake.methods {
		if !slices.Contains([]string{"GET", "HEAD", "OPTIONS", "get", "TRACE", "GATEHOUSE"}, method) {
			t.Errorf("%s was sent", method)
		}
	}
	if fake.signedOut.Load() {
		t.Error("it signed out")
	}
}

func TestCannot(t *testing.T) {
	o := options(t, "http://127.0.0.1:1")
	if r, err := doctor.Run(t.Context(), o); r != nil || err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("nobody is there: got %v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := doctor.Run(ctx, options(t, startFake(t, "").url)); r != nil || err == nil {
		t.Errorf("it was ended: got %v, %v", r, err)
	}
}

// TestConnect examines a deployment whose name leads elsewhere, or nowhere.
func TestConnect(t *testing.T) {
	o := options(t, "http://app.gatehouse-doctor.invalid")
	o.Connect = strings.TrimPrefix(startFake(t, "").url, "http://")
	if r, err := doctor.Run(t.Context(), o); err != nil || !r.Sound() || len(r.NotChecked) != 2 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestAdvice names the front proxy at hand, and guesses it from what it says of itself.
func TestAdvice(t *testing.T) {
	f := func(given, front doctor.Front, want string) {
		t.Helper()
		o := options(t, startFake(t, "alias").url)
		o.Front = given
		r, err := doctor.Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) != 1 || r.Front != front || !strings.Contains(r.Findings[0].Mend, want) {
			t.Errorf("front %q: got %q, %+v", given, r.Front, r.Findings)
		}
	}
	f("", doctor.Nginx, "underscores_in_headers off")
	f(doctor.Traefik, doctor.Traefik, "aliasHeadersStrategy")
}
