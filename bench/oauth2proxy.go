package main

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os/exec"
	"time"
)

const (
	oauth2ProxyQuestion = "/oauth2/auth"
	oauth2ProxyCookie   = "_oauth2_proxy"

	// oidcClient is who oauth2-proxy is to the issuer.
	oidcClient = "bench"
)

// oauth2-proxy keeps the session in its cookie, so that it asks nobody, and has the tokens of the login in it too. A minimal cookie has not:
// only an application could want them.
var (
	oauth2Proxy        = oauth2ProxyWith("oauth2-proxy", false)
	oauth2ProxyMinimal = oauth2ProxyWith("oauth2-proxy, minimal", true)
)

func oauth2ProxyWith(name string, minimal bool) kind {
	return kind{name, func(a *arena) (*server, error) { return a.startOAuth2Proxy(minimal) }}
}

// startOAuth2Proxy runs oauth2-proxy with all logs off. It tells of the user in the answer, as its documentation says for auth_request, and in
// no request that it passes on, since it passes none on.
func (a *arena) startOAuth2Proxy(minimal bool) (*server, error) {
	binary, err := program("oauth2-proxy")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	who, err := newIssuer()
	if err != nil {
		return nil, err
	}
	defer who.close()
	s, err := start(exec.Command(
		binary, "--http-address="+address, "--redirect-url=http://"+address+"/oauth2/callback", "--upstream=static://200",
		"--provider=oidc", "--oidc-issuer-url="+who.url, "--client-id="+oidcClient, "--client-secret=unused", "--insecure-oidc-skip-nonce=false",
		"--email-domain=*",
		"--cookie-name="+oauth2ProxyCookie, "--cookie-secret=0123456789abcdef0123456789abcdef", "--cookie-secure=false",
		"--session-store-type=cookie", fmt.Sprintf("--session-cookie-minimal=%t", minimal), "--set-xauthrequest",
		"--pass-user-headers=false", "--pass-basic-auth=false",
		"--standard-logging=false", "--auth-logging=false", "--request-logging=false",
	), address, a.cpus.server)
	if err != nil {
		return nil, err
	}
	if s.session, err = logInByRedirects("http://"+address+"/oauth2/start?rd=/", oauth2ProxyCookie); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// logInByRedirects follows a login to its end, as a browser does, and returns the session of the cookie that it left.
func logInByRedirects(start, cookie string) (*session, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	resp, err := browser.Get(start)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("log in: status %s", resp.Status)
	}
	return sessionOf(jar.Cookies(resp.Request.URL), cookie)
}

// sessionOf returns the session of the cookie of a name.
func sessionOf(cookies []*http.Cookie, name string) (*session, error) {
	for _, c := range cookies {
		if c.Name == name {
			s := new(session)
			s.Cookie.Name, s.Cookie.Value = name, c.Value
			return s, nil
		}
	}
	return nil, fmt.Errorf("log in: no cookie %s was set", name)
}
