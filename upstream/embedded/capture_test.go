package embedded_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

// TestCaptures plays recorded requests, with credentials and ids of its own, and compares the answers with those that Kratos gave. The
// files that it does not read are not in testdata: they are about other flows, other settings, or a database that fails.
func TestCaptures(t *testing.T) {
	read := map[string]bool{}

	// f plays one capture. Who says whose the credentials in the request are, in their order: "a" the main session's, "b" those of
	// somebody else's older session, "-" nobody's. Setup comes before the request.
	f := func(name, who string, setup ...func(*scene)) {
		t.Helper()
		read[name] = true
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := embedded.Config{}
				if strings.HasPrefix(name, "short-") {
					cfg.Lifespan = 4 * time.Second
				}
				s := &scene{world: open(t, cfg), capture: readCapture(t, name)}
				b := s.like(nil)
				s.main = s.like(json.RawMessage(s.body))
				s.request = credentials.ReplaceAllStringFunc(s.request, func(old string) string {
					if who == "" {
						t.Fatal("the request has more credentials than it is said to have")
					}
					whose := map[byte]embedded.Created{'a': s.main, 'b': b}[who[0]]
					who = who[1:]
					switch {
					case whose.SessionID == "":
						return old
					case strings.HasPrefix(old, "ory_st_"):
						return whose.SessionToken
					default:
						return whose.SessionCookie.Value
					}
				})
				if who != "" {
					t.Fatal("the request has fewer credentials than it is said to have")
				}
				for _, do := range setup {
					do(s)
				}
				admin := strings.Contains(s.request, "Host: 127.0.0.1:4434")
				resp, body := s.raw(admin, s.request)
				if diff := cmp.Diff(normal(s.resp, s.capture.body), normal(resp, body)); diff != "" {
					t.Errorf("-Kratos +embedded:\n%s", diff)
				}
			})
		})
	}

	nothing := func(*scene) {}
	sleep := func(d time.Duration) func(*scene) { return func(*scene) { time.Sleep(d) } }
	extend := func(s *scene) { s.extend() }
	state := func(to string) func(*scene) { return func(s *scene) { s.state(to) } }
	revoke := func(s *scene) { s.must("DELETE", "/admin/sessions/"+s.main.SessionID, "") }
	logout := func(s *scene) {
		s.public("DELETE", "/self-service/logout/api", `{"session_token":"`+s.main.SessionToken+`"}`)
	}
	deleteOthers := func(s *scene) { s.public("DELETE", "/sessions", "", tokenHeader(s.sibling())) }

	for _, name := range []string{
		"x-session-token", "bearer", "bearer-lowercase", "cookie", "accept-encoding", "if-none-match",
		"ignores-query", "aal2-after-enrolment", "cookie-before-extend",
	} {
		f("whoami-200-"+name, "a", nothing)
	}
	f("whoami-200-after-delete-all", "a", func(s *scene) { s.sibling(); s.public("DELETE", "/sessions", "", tokenHeader(s.main)) })
	f("whoami-200-after-foreign-delete", "a", func(s *scene) {
		s.public("DELETE", "/sessions/"+s.main.SessionID, "", tokenHeader(s.create(user("foreign@example.test"))))
	})
	f("whoami-200-identity-reactivated", "a", state("inactive"), state("active"))
	f("whoami-200-resurrected", "a", sleep(25*time.Hour), extend)
	f("whoami-200-cookie-after-extend-set-cookie", "a", extend)
	f("whoami-200-cookie-after-extend-with-csrf", "a", extend)
	f("whoami-200-new-cookie-no-set-cookie", "a", extend, func(s *scene) { s.replace(s.main.SessionCookie.Value, s.renewed()) })
	f("whoami-200-old-cookie-again-set-cookie", "a", extend, func(s *scene) { s.renewed() })
	f("whoami-200-token-plus-older-cookie-set-cookie", "ab")
	for _, name := range []string{"delete", "head", "options", "patch", "post", "put", "trace"} {
		f("whoami-method-"+name, "a")
	}
	f("whoami-tokenize-as-unknown", "a")
	f("whoami-trailing-slash", "a")

	for _, name := range []string{"accept-html", "garbage-cookie", "malformed-token", "no-credentials", "request-id", "tokenize-as"} {
		f("whoami-401-"+name, "")
	}
	f("whoami-401-unknown-token", "-")
	for _, name := range []string{"bearer-extra-spaces", "cookie-in-token", "other-cookie-name", "token-in-cookie", "x-session-cookie-ignored"} {
		f("whoami-401-"+name, "a")
	}
	f("whoami-401-after-identity-sessions-delete", "a", func(s *scene) {
		s.must("DELETE", "/admin/identities/"+s.main.IdentityID+"/sessions", "")
	})
	f("whoami-401-after-logout-api", "a", logout)
	f("whoami-401-after-logout-browser", "a", func(s *scene) {
		s.public("GET", "/self-service/logout?token="+s.logoutToken(s.main), "", cookieHeader(s.main))
	})
	f("whoami-401-expired", "a", sleep(24*time.Hour))
	f("whoami-401-identity-deleted", "a", func(s *scene) { s.must("DELETE", "/admin/identities/"+s.main.IdentityID, "") })
	f("whoami-401-identity-inactive", "a", state("inactive"))
	f("whoami-401-revoked-by-admin", "a", revoke)
	f("whoami-401-revoked-by-delete-all", "a", deleteOthers)
	f("whoami-401-revoked-by-sibling", "a", func(s *scene) {
		s.public("DELETE", "/sessions/"+s.main.SessionID, "", tokenHeader(s.sibling()))
	})

	// A session that needs a second factor is made anew, since there is no way to ask that of one that exists.
	needsAAL2 := func(s *scene) {
		n := user("aal2@example.test")
		n.RequireAAL2 = true
		c := s.create(n)
		was := s.main
		s.request = strings.NewReplacer(was.SessionToken, c.SessionToken, was.SessionCookie.Value, c.SessionCookie.Value).Replace(s.request)
		s.main = c
	}
	for _, name := range []string{"", "-cookie", "-tokenize"} {
		f("whoami-403-aal2-required"+name, "a", needsAAL2)
	}

	f("precedence-cookie-C-and-bearer-A", "ba") // the headers stand in the other order
	f("precedence-empty-token-and-cookie-C", "a")
	f("precedence-token-A-and-bearer-B", "ab")
	f("precedence-token-A-and-cookie-C", "aa", func(s *scene) { // C is the newer one, so its cookie is not replaced
		s.replace(s.main.SessionCookie.Value, s.create(user("c@example.test")).SessionCookie.Value)
	})
	f("precedence-two-cookie-headers-C-then-D", "ab")
	f("precedence-two-cookies-C-then-D", "ab")
	f("precedence-two-cookies-D-then-C", "ab")
	f("precedence-two-cookies-garbage-then-C", "a")
	f("precedence-two-x-session-token", "ab")
	f("precedence-unknown-token-and-cookie-C", "-a")

	f("short-whoami-200", "a")
	f("short-whoami-200-after-extend", "a", extend)
	f("short-whoami-200-reissued-cookie", "a", sleep(time.Second), extend, func(s *scene) {
		s.replace(s.main.SessionCookie.Value, s.renewed())
		time.Sleep(3 * time.Second)
	})
	f("short-whoami-401-expired", "a", sleep(3*time.Second))
	f("short-whoami-401-old-cookie", "a", sleep(2*time.Second), extend, sleep(2*time.Second), func(s *scene) {
		if got := s.world.whoami(tokenHeader(s.main)); got != http.StatusOK {
			s.t.Fatalf("the session itself: %d", got)
		}
	})
	f("short-whoami-401-stale-cookie", "a", sleep(time.Hour))

	others := func(s *scene) {
		made := s.others()
		s.main = s.create(embedded.NewSession{IdentityID: made[0].IdentityID})
		credential := credentials.FindString(s.request)
		if strings.HasPrefix(credential, "ory_st_") {
			s.replace(credential, s.main.SessionToken)
		} else {
			s.replace(credential, s.main.SessionCookie.Value)
		}
	}
	// Pages of one are asked of a list of four; page 0 and page 1 both show the newest.
	ofFour := func(newer int) func(*scene) {
		return func(s *scene) {
			var list []json.RawMessage
			if err := json.Unmarshal([]byte(s.body), &list); err != nil {
				s.t.Fatal(err)
			}
			var c embedded.Created
			for n := range 4 {
				if n == 3-newer {
					c = s.like(list[0])
					continue
				}
				var is struct{ Identity embedded.NewIdentity }
				_ = json.Unmarshal(list[0], &is)
				s.create(embedded.NewSession{Identity: &is.Identity})
				time.Sleep(time.Second)
			}
			s.main = s.create(embedded.NewSession{IdentityID: c.IdentityID})
			s.replace(credentials.FindString(s.request), s.main.SessionToken)
		}
	}
	f("sessions-list-200", "a", others)
	f("sessions-list-200-bad-page-token", "a", others)
	f("sessions-list-200-cookie", "a", others)
	f("sessions-list-200-empty", "a")
	f("sessions-list-200-page-size-1", "a", ofFour(0))
	f("sessions-list-200-legacy-page", "a", ofFour(0))
	f("sessions-list-200-page-2", "a", ofFour(0))
	f("sessions-list-200-page-token-offset-2", "a", ofFour(1))
	f("sessions-list-401", "")
	f("sessions-list-401-unknown-token", "-")
	f("sessions-list-403-aal2-required", "a", needsAAL2)
	f("sessions-get-one-405", "a")

	siblings := func(n int, before ...func(*scene)) func(*scene) {
		return func(s *scene) {
			for range n {
				s.sibling()
			}
			for _, do := range before {
				do(s)
			}
		}
	}
	f("sessions-delete-all-200", "a", siblings(4))
	f("sessions-delete-all-200-again", "a", siblings(4, func(s *scene) { s.public("DELETE", "/sessions", "", tokenHeader(s.main)) }))
	f("sessions-delete-all-200-aal1", "a", needsAAL2, siblings(6))
	f("sessions-delete-all-401", "")
	sibling := func(s *scene) { s.replace(uuids.FindString(s.request), s.sibling().SessionID) }
	f("sessions-delete-one-204", "a", sibling)
	f("sessions-delete-one-204-again", "a", sibling, func(s *scene) {
		s.must("DELETE", "/admin/sessions/"+uuids.FindString(s.request), "")
	})
	f("sessions-delete-one-204-foreign", "a", func(s *scene) {
		s.replace(uuids.FindString(s.request), s.create(user("foreign@example.test")).SessionID)
	})
	f("sessions-delete-one-204-unknown", "a")
	f("sessions-delete-one-400-bad-uuid", "a")
	f("sessions-delete-one-400-current", "a", func(s *scene) { s.replace(uuids.FindString(s.request), s.main.SessionID) })
	f("sessions-delete-one-401", "")

	f("logout-api-204", "a")
	f("logout-api-204-again", "a", logout)
	f("logout-api-400-bad-json", "")
	f("logout-api-400-no-body", "")
	f("logout-api-400-no-content-type", "a")
	f("logout-api-403-unknown", "-")
	f("logout-browser-init-200", "a")
	f("logout-browser-init-401", "")
	withToken := func(s *scene) { s.replace(logouts.FindString(s.request), s.logoutToken(s.main)) }
	f("logout-submit-204-json", "a", withToken)
	f("logout-submit-303-html", "a", withToken, func(s *scene) { s.expect("http://127.0.0.1:4455/login", "/") })
	f("logout-submit-400-no-token", "a")
	f("logout-submit-401-again", "a", withToken, logout)
	f("logout-submit-403-wrong-token", "a")

	f("health-alive", "")
	f("health-ready", "")
	f("version", "")

	// The id in the path is that of the main session, or of its identity.
	id := func(s *scene) {
		real := s.main.SessionID
		if strings.Contains(s.request, "/identities/") {
			real = s.main.IdentityID
		}
		s.replace(uuids.FindString(s.request), real)
	}
	f("admin-session-get-200", "", id)
	f("admin-session-get-200-disabled", "", id, revoke)
	f("admin-session-get-200-expand", "", id)
	f("admin-session-get-200-expired", "", id, sleep(25*time.Hour))
	f("admin-session-get-200-identity-inactive", "", id, state("inactive"))
	f("admin-session-get-400", "")
	f("admin-session-get-404", "")
	f("admin-without-prefix-200", "", id)
	f("admin-session-disable-204", "", id)
	f("admin-session-disable-204-again", "", id, revoke)
	f("admin-session-disable-404", "")
	f("admin-session-extend-200", "", id)
	f("admin-session-extend-200-expired", "", id, sleep(25*time.Hour))
	f("admin-session-extend-400", "")
	f("admin-session-extend-404", "")
	f("short-admin-session-get-200", "", id, extend, sleep(3*time.Second))
	f("admin-identity-patch-inactive", "", func(s *scene) {
		s.main = s.like(json.RawMessage(`{"identity":` + s.body + `}`))
		s.expect(regexp.MustCompile(`"credentials":\{.*?\}\},`).FindString(s.body), "")
		s.expect(`"metadata_admin":null,`, "")
	}, id)
	f("admin-identity-sessions-200", "", func(s *scene) { s.main = s.others()[0] }, id)
	f("admin-identity-sessions-200-active", "", func(s *scene) {
		s.must("DELETE", "/admin/sessions/"+s.others()[0].SessionID, "") // is not active, and must not be counted
		s.others()
		s.main = s.others()[0]
	}, id, func(s *scene) { s.expect(uuids.FindString(s.resp.Header.Get("Link")), s.main.IdentityID) })
	f("admin-identity-sessions-200-unknown-identity", "")
	f("admin-identity-sessions-delete-204", "", id)
	f("admin-identity-sessions-delete-404-again", "", id, func(s *scene) {
		s.must("DELETE", "/admin/identities/"+s.main.IdentityID+"/sessions", "")
	})
	f("admin-sessions-list-200", "", func(s *scene) { s.others() })
	f("admin-sessions-list-200-expand-active", "", func(s *scene) {
		s.others()
		s.must("DELETE", "/admin/sessions/"+s.create(user("ended@example.test")).SessionID, "")
	})
	f("admin-sessions-list-200-next", "", func(s *scene) {
		s.like(nil)
		s.others()
		s.like(nil)
		s.like(nil)
		first := s.must("GET", "/admin/sessions?active=true&page_size=2", "").header.Get("Link")
		s.replace(cursors.FindString(s.request), cursors.FindAllString(first, -1)[1])
	})
	f("admin-sessions-list-400-active", "")
	f("admin-sessions-list-400-expand", "")
	f("admin-sessions-list-400-page-token", "")
	f("admin-sessions-delete-collection-redirect", "")
	f("admin-sessions-whoami-redirect", "")

	files, err := filepath.Glob("testdata/*.http")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".http"); !read[name] {
			t.Errorf("%s is not compared with anything", file)
		}
	}
}
