package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// readJSON reads the body of r into v. The content type must be JSON: so a page of another origin cannot make a browser send one
// without asking first. The words of the errors are Kratos'.
//
// Strict means that unknown fields, and anything after the value, are errors.
func readJSON(r *http.Request, v any, strict bool) error {
	if r.ContentLength == 0 {
		return refuse(http.StatusBadRequest, `Unable to decode HTTP Request Body because its HTTP Header "Content-Length" is zero.`)
	}
	given := r.Header.Get("Content-Type")
	if mediaType, _, err := mime.ParseMediaType(given); err != nil || mediaType != "application/json" {
		return refuse(http.StatusBadRequest, fmt.Sprintf(
			`HTTP %s Request used unknown HTTP Header "Content-Type: %s", only [application/json] are supported.`, r.Method, given))
	}
	d := json.NewDecoder(r.Body)
	if strict {
		d.DisallowUnknownFields()
	}
	err := d.Decode(v)
	if err == nil && strict {
		if _, err = d.Token(); err == nil {
			err = errors.New("there is more than one value")
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return complain(http.StatusRequestEntityTooLarge, "the body is longer than 64 KiB")
	}
	return refuse(http.StatusBadRequest, "Unable to decode JSON payload: "+err.Error())
}
