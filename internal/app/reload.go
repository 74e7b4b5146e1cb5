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
	if now, then := current.Upstream.Service().Kind, next.Upstream.Service().Kind; now != then {
		return nil, fmt.Errorf("apply configuration: upstream is %s now and was %s, in whose words rules and identity headers are: restart Gatehouse",
			then, now)
	}
	restart = needRestart(&current, next)
	current.App, current.Routes, current.Requirements = next.App, next.Routes, next.Requirements
	current.IdentityHeaders, current.IdentityToken = next.IdentityHeaders, next.IdentityToken
	compiled, pools, err := a.compile(&current)
	if err != nil {
		return nil, err
	}
	a.setPolicy(compiled, pools)
	a.cfg.Store(&current)
	return restart, nil
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
