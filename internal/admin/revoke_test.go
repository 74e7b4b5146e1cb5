package admin_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	form = "Content-Type: application/x-www-form-urlencoded"
	json = "Content-Type: application/json"
)

func TestRevoke(t *testing.T) {
	f := func(kind, body, what string, want ...string) {
		t.Helper()
		fx := newFixture(t)
		w := fx.do("POST", "/-/revoke", body, kind)
		if w.Code != 200 || w.Body.String() != `{"revoked":"`+what+"\"}\n" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
		if d := cmp.Diff(want, fx.sessions.done); d != "" {
			t.Errorf("%s: revoked (-want +got):\n%s", body, d)
		}
		if fx.revoked != 1 {
			t.Errorf("%s: counted %d revocations", body, fx.revoked)
		}
		if !strings.Contains(fx.log.String(), "by="+what) {
			t.Errorf("%s: log %q", body, fx.log)
		}
	}
	f(form, "session_id=8a5d", "session_id", "session 8a5d")
	f(form, "identity_id=urn%3Ax+y", "identity_id", "identity urn:x y")
	f(form+"; charset=utf-8", "identity_id=%C3%BC", "identity_id", "identity ü")
	f(json, `{"session_id":"8a5d"}`, "session_id", "session 8a5d")
	f(json+"; charset=utf-8", " {\n\"identity_id\" : \"\\u00fc\" } \n", "identity_id", "identity ü")

	f(json, `{"credential":"tok"}`, "credential", "session_token X-Session-Token tok", "cookie ory_kratos_session tok", "bearer  tok")
	f(form, "credential=tok&kind=session_token", "credential", "session_token X-Session-Token tok")
	f(form, "kind=cookie&credential=MTc5%3D%3D", "credential", "cookie ory_kratos_session MTc5==")
	f(json, `{"kind":"bearer","credential":"tok"}`, "credential", "bearer  tok")
	f(json, `{"credential":"a;b"}`, "credential", "session_token X-Session-Token a;b", "bearer  a;b") // no cookie can be that
	f(json, `{"kind":"bearer","credential":"a\",\\b"}`, "credential", `bearer  a",\b`)
	long := strings.Repeat("x", 8<<10)
	f(form, "kind=bearer&credential="+long, "credential", "bearer  "+long)
}

func TestRevokeMalformed(t *testing.T) {
	const secret = "s3cr3t"
	f := func(status int, says, kind, body string) {
		t.Helper()
		fx := newFixture(t)
		w := fx.do("POST", "/-/revoke", body, kind)
		if w.Code != status || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s %.80s: %d %s", kind, body, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), secret) || strings.Contains(fx.log.String(), secret) {
			t.Errorf("%s %.80s: the answer or the log repeats it: %s", kind, body, w.Body)
		}
		if len(fx.sessions.done) > 0 || fx.revoked > 0 {
			t.Errorf("%s %.80s: revoked %v", kind, body, fx.sessions.done)
		}
	}
	const names = "session_id, identity_id and credential"
	f(400, names, form, "")
	f(400, names, form, "s3cr3t")
	f(400, names, form, "session=s3cr3t")
	f(400, names, form, "session_id=")
	f(400, names, form, "session_id=s3cr3t&session_id=b")
	f(400, names, form, "session_id=s3cr3t&identity_id=b")
	f(400, names, form, "session_id=s3cr3t&credential=b")
	f(400, names, form, "session_id=s3cr3t&kind=cookie")
	f(400, names, form, "credential=s3cr3t&kind=")
	f(400, names, form, "credential=s3cr3t&why=not")
	f(400, names, form, "kind=cookie")
	f(400, names, form, "Session_ID=s3cr3t")
	f(400, "not a form", form, "session_id=s3cr3t;x=y")
	f(400, "not a form", form, "session_id=s3cr3t%zz")
	f(400, "without blanks", form, "session_id=s3cr3t+")
	f(400, "without blanks", form, "session_id=%0As3cr3t")
	f(400, "UTF-8", form, "identity_id=s3cr3t%ff")

	f(400, names, json, `{}`)
	f(400, names, json, `{"session_id":""}`)
	f(400, names, json, `{"SESSION_ID":"s3cr3t"}`)
	f(400, names, json, `{"session_id":"s3cr3t","session_id":"b"}`)
	f(400, names, json, `{"session_id":"s3cr3t","reason":"x"}`)
	f(400, "UTF-8", json, `{"session_id":"s3cr3t\ud800"}`)
	f(400, "UTF-8", json, "{\"session_id\":\"s3cr3t\xff\"}")
	for _, body := range []string{
		``, `null`, `s3cr3t`, `"s3cr3t"`, `["s3cr3t"]`, `{s3cr3t`, `{"session_id"}`, `{"session_id":1}`, `{"session_id":null}`,
		`{"session_id":["s3cr3t"]}`, `{"session_id":{"a":"s3cr3t"}}`, `{"session_id":"s3cr3t"`, `{"session_id":"s3cr3t",}`,
		`{"session_id":"s3cr3t"}x`, `{"session_id":"s3cr3t"}{}`,
	} {
		f(400, "not a JSON object of strings", json, body)
	}

	f(400, "kind must be session_token, session_cookie, cookie, query or bearer", form, "credential=x&kind=s3cr3t")
	f(400, "kind must be session_token, session_cookie, cookie, query or bearer", form, "credential=x&kind=none")
	f(400, "no request can present", form, "credential=s3cr3t+x")
	f(400, "no request can present", form, "credential=s3cr3t%0d%0aX")
	f(400, "no request can present", form, "credential=s3cr3t%00")
	f(400, "no request can present", form, "credential=s3cr3t%7f")
	f(400, "no request can present", form, "credential=s3cr3t%c3%bc")
	f(400, "no request can present", form, "kind=cookie&credential=s3cr3t%3bb")
	f(400, "no request can present", form, "kind=cookie&credential=%22s3cr3t%22")
	f(400, "no request can present", form, "kind=cookie&credential=s3cr3t,b")
	f(400, "no request can present", form, `kind=cookie&credential=s3cr3t\`)
	f(400, "no request can present", form, "credential=s3cr3t"+strings.Repeat("x", 8<<10))

	f(413, "larger than 65536 bytes", form, "credential=s3cr3t"+strings.Repeat("x", 64<<10))
	for _, kind := range []string{"", "text/plain", "multipart/form-data; boundary=x", "application/jsonp", ";"} {
		f(415, "application/json", "Content-Type: "+kind, "session_id=s3cr3t")
	}
}

func TestRevokeUnknownKind(t *testing.T) {
	fx := newFixture(t)
	fx.blind = true
	w := fx.do("POST", "/-/revoke", "kind=bearer&credential=s3cr3t", form)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "not looked at") || fx.revoked > 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRevokeQuery(t *testing.T) {
	fx := newFixture(t)
	for _, query := range []string{"session_id=s3cr3t", "credential=s3cr3t", "x"} {
		w := fx.do("POST", "/-/revoke?"+query, "session_id=a", form)
		if w.Code != 400 || !strings.Contains(w.Body.String(), "put it into the body") || strings.Contains(w.Body.String(), "s3cr3t") {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	if len(fx.sessions.done) > 0 {
		t.Errorf("revoked %v", fx.sessions.done)
	}
}

// FuzzRevoke holds that a body either is refused and revokes nothing, or revokes one thing.
func FuzzRevoke(f *testing.F) {
	for _, seed := range []string{
		"session_id=a", "credential=a&kind=cookie", `{"identity_id":"a"}`, `{"credential":"a","kind":"bearer"}`, "%", "{",
	} {
		f.Add(seed, strings.HasPrefix(seed, "{"))
	}
	f.Fuzz(func(t *testing.T, body string, isJSON bool) {
		kind := form
		if isJSON {
			kind = json
		}
		fx := newFixture(t)
		w := fx.do("POST", "/-/revoke", body, kind)
		switch done := len(fx.sessions.done); {
		case w.Code == 200 && (done == 0 || done > 3 || fx.revoked != 1):
			t.Errorf("%q: status 200 and %v", body, fx.sessions.done)
		case w.Code != 200 && done > 0:
			t.Errorf("%q: status %d and %v", body, w.Code, fx.sessions.done)
		}
		if values, err := url.ParseQuery(body); w.Code == 200 && !isJSON && (err != nil || len(values) > 2) {
			t.Errorf("%q: status 200", body)
		}
	})
}
