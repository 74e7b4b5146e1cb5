package upstreamtest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// client returns a client of s that lives as long as the test and follows no redirects.
func client(t *testing.T, s *upstreamtest.Service) *http.Client {
	transport := &http.Transport{DialContext: s.Pipe(t)}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get asks for path with headers, each of the form "Name: value", and returns the whole body.
func get(ctx context.Context, c *http.Client, path string, headers ...string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://service"+path, nil)
	if err != nil {
		return nil, "", err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestServiceFollowsThePrecedenceOfKratos(t *testing.T) {
	service := new(upstreamtest.Service)
	client := client(t, service)
	alice := service.SignIn(upstreamtest.Login{Cookies: []string{"alice-1", "alice-2"}})
	bob := service.SignIn(upstreamtest.Login{Token: "bob"})
	gone := service.SignIn(upstreamtest.Login{Cookies: []string{"gone"}})
	service.SignOut(gone.SessionID)
	over := service.SignIn(upstreamtest.Login{ExpiresAt: time.Unix(1, 0)})
	weak := service.SignIn(upstreamtest.Login{NeedsAAL2: true})

	f := func(wantStatus int, wantBody string, headers ...string) {
		t.Helper()
		resp, body, err := get(t.Context(), client, "/sessions/whoami", headers...)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != wantStatus || wantBody != "" && body != wantBody {
			t.Errorf("%q: status %d, body %s, want status %d, body %s", headers, resp.StatusCode, body, wantStatus, wantBody)
		}
	}
	f(401, upstreamtest.NoSessionBody)
	f(200, string(alice.Body), "X-Session-Token: "+alice.Token)
	f(200, string(alice.Body), "Cookie: theme=dark; ory_kratos_session=alice-2")
	f(200, string(bob.Body), "Authorization: bearer bob")
	f(401, upstreamtest.NoSessionBody, "Authorization: bearer  bob")
	f(401, upstreamtest.NoSessionBody, "X-Session-Token: stranger", "Authorization: Bearer bob")
	f(200, string(bob.Body), "X-Session-Token: bob", "Cookie: ory_kratos_session=alice-1")
	f(200, string(alice.Body), "Cookie: ory_kratos_session=alice-1", "Authorization: Bearer bob")
	f(200, string(alice.Body), "Cookie: ory_kratos_session=garbage; ory_kratos_session=alice-1")
	f(401, upstreamtest.NoSessionBody, "Cookie: ory_kratos_session=gone; ory_kratos_session=alice-1")
	f(401, upstreamtest.NoSessionBody, "Cookie: ory_kratos_session=garbage")
	f(500, "", "Cookie: ory_kratos_session=garbage", "Authorization: Bearer bob")
	f(401, upstreamtest.NoSessionBody, "X-Session-Token: "+over.Token)
	f(403, upstreamtest.AAL2Body, "X-Session-Token: "+weak.Token)
}

func TestServiceRenewsCookies(t *testing.T) {
	service := &upstreamtest.Service{Cookie: "session"}
	client := client(t, service)
	login := service.SignIn(upstreamtest.Login{Token: "token", Cookies: []string{"old"}})
	f := func(wantSetCookie, header string) {
		t.Helper()
		resp, _, err := get(t.Context(), client, "/sessions/whoami", header)
		if err != nil {
			t.Fatal(err)
		}
		got := resp.Header.Get("Set-Cookie")
		if resp.StatusCode != 200 || !strings.HasPrefix(got, wantSetCookie) || wantSetCookie == "" && got != "" {
			t.Errorf("%s: status %d, Set-Cookie %q, want %q", header, resp.StatusCode, got, wantSetCookie)
		}
	}
	f("", "Cookie: session=old")
	login.Renewed = "new"
	service.SignIn(login)
	f("session=new; Path=/; Expires=", "Cookie: session=old")
	f("", "Cookie: session=new")
	f("", "X-Session-Token: token")
}

func TestServiceTokenizes(t *testing.T) {
	service := new(upstreamtest.Service)
	client := client(t, service)
	login := service.SignIn(upstreamtest.Login{CacheFor: "300"})
	f := func(query string, wantStatus int, wantCacheFor string) string {
		t.Helper()
		resp, body, err := get(t.Context(), client, "/sessions/whoami"+query, "X-Session-Token: "+login.Token)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Ory-Session-Cache-For"); resp.StatusCode != wantStatus || got != wantCacheFor {
			t.Errorf("%q: status %d, Ory-Session-Cache-For %q, want %d, %q", query, resp.StatusCode, got, wantStatus, wantCacheFor)
		}
		return body
	}
	f("", 200, "300")
	f("?tokenize_as=other", 400, "")
	first, second := f("?tokenize_as=jwt_example", 200, ""), f("?tokenize_as=jwt_example", 200, "")
	if !json.Valid([]byte(first)) || !strings.Contains(first, `,"tokenized":"`) || first == second {
		t.Errorf("want JSON with a token that is new each time, got\n%s%s", first, second)
	}
}

func TestServiceFaults(t *testing.T) {
	f := func(fault upstreamtest.Fault, wantStatus int, wantErr bool, wantReady int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			service := new(upstreamtest.Service)
			client := client(t, service)
			login := service.SignIn(upstreamtest.Login{})
			service.Break(fault)
			ask := func(path string) (int, error) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				resp, _, err := get(ctx, client, path, "X-Session-Token: "+login.Token)
				if resp == nil {
					return 0, err
				}
				return resp.StatusCode, err
			}
			if status, err := ask("/sessions/whoami"); status != wantStatus || (err != nil) != wantErr {
				t.Errorf("%v: whoami has status %d, error %v, want %d, error %v", fault, status, err, wantStatus, wantErr)
			}
			if status, _ := ask("/health/ready"); status != wantReady {
				t.Errorf("%v: readiness has status %d, want %d", fault, status, wantReady)
			}
			service.Break(upstreamtest.Healthy)
			if status, err := ask("/sessions/whoami"); status != 200 || err != nil {
				t.Errorf("repaired after %v: status %d, error %v", fault, status, err)
			}
			if service.Questions() != 2 || service.ReadinessQuestions() != 1 {
				t.Errorf("counted %d questions and %d of readiness, want 2 and 1", service.Questions(), service.ReadinessQuestions())
			}
		})
	}
	f(upstreamtest.Healthy, 200, false, 200)
	f(upstreamtest.Down, 0, true, 0)
	f(upstreamtest.Hang, 0, true, 0)
	f(upstreamtest.Truncated, 200, true, 200)
	f(upstreamtest.Empty, 200, false, 200)
	f(upstreamtest.Garbage, 200, false, 200)
	f(upstreamtest.Redirect, 302, false, 200)
	f(upstreamtest.TooMany, 429, false, 200)
	f(upstreamtest.ServerError, 500, false, 200)
	f(upstreamtest.DatabaseDown, 401, false, 503)
	f(upstreamtest.NotReady, 200, false, 503)
}

func TestServiceHoldsAnswersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := new(upstreamtest.Service)
		client := client(t, service)
		login := service.SignIn(upstreamtest.Login{})
		var seen []string
		service.Observe(func(r *http.Request) { seen = append(seen, r.Method+" "+r.RequestURI) })
		service.Delay(time.Second)
		release := service.Hold()
		status := 0
		begin := time.Now()
		go func() {
			if resp, _, err := get(t.Context(), client, "/sessions/whoami", "X-Session-Token: "+login.Token); err == nil {
				status = resp.StatusCode
			}
		}()
		service.Await(1)
		service.SignOut(login.SessionID)
		time.Sleep(time.Minute)
		synctest.Wait()
		if status != 0 {
			t.Fatal("the answer was not held back")
		}
		release()
		synctest.Wait()
		if status != 200 || time.Since(begin) != time.Minute {
			t.Errorf("status %d after %v, want what was true when the question arrived, as soon as it was released", status, time.Since(begin))
		}
		if len(seen) != 1 || seen[0] != "GET /sessions/whoami" {
			t.Errorf("observed %q", seen)
		}
	})
}

func TestServiceOnTheNetwork(t *testing.T) {
	service := new(upstreamtest.Service)
	u := service.Start(t)
	resp, err := http.Get(u.JoinPath("health/ready").String())
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	if resp.StatusCode != 200 || u.Hostname() != "127.0.0.1" {
		t.Errorf("status %d at %v", resp.StatusCode, u)
	}
}

// A login says itself what a Store should say of it.
func TestLoginSession(t *testing.T) {
	login := new(upstreamtest.Service).SignIn(upstreamtest.Login{IdentityID: "alice", AAL: upstream.AAL2})
	s := login.Session()
	if s.ID == "" || s.IdentityID != "alice" || s.AAL != upstream.AAL2 || !s.ExpiresAt.After(s.AuthenticatedAt) {
		t.Errorf("session is %+v", login)
	}
	var body struct {
		ID       string
		Active   bool
		Identity struct{ ID string }
	}
	if err := json.Unmarshal(s.Body, &body); err != nil || body.ID != s.ID || !body.Active || body.Identity.ID != "alice" {
		t.Errorf("body is %s, error %v", s.Body, err)
	}
}
