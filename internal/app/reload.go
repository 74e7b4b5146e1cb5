package app

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

// errNoReload says that there is nothing to read again.
var errNoReload = errors.New("this process was started without a configuration that can be read again")

// Reload reads the configuration again and applies what can change without a restart: applications, routes, what they require, identity
// headers and identity tokens. Either all of it comes into force or none. Remembered sessions survive, and requests under way end where they
// are. The files of certificates are read again too, whatever comes of that: a mistake in the configuration does not keep a renewed
// certificate from coming into force, nor the reverse. It returns the names of what has changed and needs a restart to come into force.
func (a *App) Reload() (restart []string, err error) {
	a.reloading <- struct{}{}
	defer func() { <-a.reloading }()
	restart, err = a.reload()
	a.metrics.Reloaded(err == nil, time.Now())
	switch {
	case err != nil:
		a.opts.Logger.Error("configuration was not reloaded: the old one stays in force", "error", err)
	case len(restart) > 0:
		a.opts.Logger.Warn("configuration was reloaded, except for what needs a restart", "restart_for", restart)
	default:
		a.opts.Logger.Info("configuration was reloaded")
	}
	return restart, errors.Join(err, a.certificates.Reload())
}

func (a *App) reload() (restart []string, err error) {
	if a.opts.Reread == nil {
		return nil, errNoReload
	}
	next, err := a.opts.Reread()
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	current := *a.cfg.Load()
	if err := sameServices(&current, next); err != nil {
		return nil, fmt.Errorf("apply configuration: %w: restart Gatehouse", err)
	}
	restart = needRestart(&current, next)
	current.App, current.Routes, current.Requirements = next.App, next.Routes, next.Requirements
	current.IdentityHeaders, current.IdentityToken = next.IdentityHeaders, next.IdentityToken
	if current.IdentityToken != nil && !current.Whoami.KeepBody {
		return nil, errors.New("apply configuration: identity_token needs whoami.keep_body, which is not in force: restart Gatehouse")
	}
	compiled, pools, err := a.compile(&current)
	if err != nil {
		return nil, err
	}
	a.setPolicy(compiled, pools)
	a.cfg.Store(&current)
	return restart, nil
}

// sameServices says why rules and identity headers of the next configuration are not for the session services that there are. Those that
// no route names any more, or yet, do not matter.
func sameServices(current, next *config.Config) error {
	if (len(current.Upstreams) == 0) != (len(next.Upstreams) == 0) {
		return errors.New("there was either upstream or upstreams, and now it is the other")
	}
	for _, u := range current.Services() {
		for _, n := range next.Services() {
			now, then := wordsOf(n.Upstream), wordsOf(u.Upstream)
			if n.Name == u.Name && now != then {
				return fmt.Errorf("%s is %s now and was %s, in whose words rules and identity headers are", n.Key, now, then)
			}
		}
	}
	return nil
}

// wordsOf names a service by the words in which it states sessions.
func wordsOf(u *config.Upstream) string {
	s := u.Service()
	if u.Embedded != nil {
		return fmt.Sprintf("%s (%s)", s.Kind, s.Dialect)
	}
	return s.Kind
}

// needRestart returns the names of the sections that differ and cannot change while the gateway runs.
func needRestart(current, next *config.Config) (names []string) {
	a, b := reflect.ValueOf(*current), reflect.ValueOf(*next)
	for i := range a.NumField() {
		switch name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("yaml"), ","); name {
		case "app", "routes", "requirements", "identity_headers", "identity_token": // in force already
		default:
			if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				names = append(names, name)
			}
		}
	}
	return names
}
