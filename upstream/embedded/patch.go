package embedded

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// A patchOp is one operation of a JSON patch (RFC 6902).
type patchOp struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// patchIdentity applies a JSON patch to /state, /traits and /metadata_public, or to what is inside of the latter two. It knows add,
// replace and remove, and objects but no arrays. An identity that becomes inactive ends its sessions until it is active again.
func (s *Service) patchIdentity(w http.ResponseWriter, r *http.Request) error {
	var ops []patchOp
	if err := readJSON(r, &ops, true); err != nil {
		return err
	}
	at, id := now(), r.PathValue("id")
	var next identity
	err := s.change(func(e edit) error {
		old := s.state.identities[id]
		if old == nil {
			return notFound()
		}
		next = *old
		if err := next.patch(ops); err != nil {
			return refuse(http.StatusBadRequest, "failed to apply JSON patch: "+err.Error())
		}
		if err := s.fits(&next); err != nil {
			return err
		}
		next.UpdatedAt = at
		if next.State != old.State {
			next.StateChangedAt = at
		}
		e.identities[id] = &next
		return nil
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.identityView(&next))
}

func (i *identity) patch(ops []patchOp) error {
	state, err := json.Marshal(i.State)
	if err != nil {
		return err
	}
	document := map[string]json.RawMessage{"state": state, "traits": i.Traits, "metadata_public": i.MetadataPublic}
	for _, op := range ops {
		path := strings.Split(op.Path, "/")
		if len(path) < 2 || path[0] != "" || document[path[1]] == nil {
			return fmt.Errorf("path %q: want /state, /traits, /metadata_public, or a place inside of these", op.Path)
		}
		if document[path[1]], err = op.apply(document[path[1]], path[2:]); err != nil {
			return fmt.Errorf("%s %q: %w", op.Op, op.Path, err)
		}
	}
	return i.set(document)
}

// set takes over what a patch has made, if it is still an identity.
func (i *identity) set(document map[string]json.RawMessage) error {
	i.State = ""
	if json.Unmarshal(document["state"], &i.State) != nil || (i.State != active && i.State != inactive) {
		return fmt.Errorf("state: want %s or %s", active, inactive)
	}
	var ok bool
	if i.Traits, ok = compact(document["traits"]); !ok || i.Traits[0] != '{' {
		return fmt.Errorf("traits: want an object")
	}
	if i.MetadataPublic, ok = compact(document["metadata_public"]); !ok {
		return fmt.Errorf("metadata_public: want a JSON value")
	}
	return nil
}

// apply returns the value that takes the place of in, once op has been done at path below it.
func (op patchOp) apply(in json.RawMessage, path []string) (json.RawMessage, error) {
	if len(path) > 0 {
		var object map[string]json.RawMessage
		if json.Unmarshal(in, &object) != nil || object == nil {
			return nil, fmt.Errorf("there is no object to hold %q", path[0])
		}
		key := strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0])
		value, exists := object[key]
		if !exists && (len(path) > 1 || op.Op != "add") {
			return nil, fmt.Errorf("there is no %q", key)
		}
		if len(path) == 1 && op.Op == "remove" {
			delete(object, key)
			return json.Marshal(object)
		}
		next, err := op.apply(value, path[1:])
		if err != nil {
			return nil, err
		}
		object[key] = next
		return json.Marshal(object)
	}
	switch {
	case op.Op == "remove":
		return json.RawMessage("null"), nil
	case op.Op != "add" && op.Op != "replace":
		return nil, fmt.Errorf("want add, replace or remove")
	case len(op.Value) == 0:
		return nil, fmt.Errorf("want a value")
	}
	return op.Value, nil
}
