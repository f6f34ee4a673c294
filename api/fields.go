package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"

	"cairn/api/client"
	"cairn/internal/jsonobject"
)

// readObject reads the body of a POST: one JSON object.
func readObject(w *response, r *http.Request) (*jsonobject.Object, error) {
	if err := checkContentType(r); err != nil {
		return nil, err
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return parseObject(body)
}

// checkContentType takes application/json and every type built on it, with any
// parameters.
func checkContentType(r *http.Request) error {
	given := r.Header.Get("Content-Type")
	media, known := given, true
	if given != "application/json" { // which nearly all send
		var err error
		media, _, err = mime.ParseMediaType(given)
		known = err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)
	}
	if !known || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return refuse(client.ErrContentType, "the content type is %s; send JSON with the header `Content-Type: application/json`", quote(given))
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return refuse(client.ErrContentType, "the content is encoded as %s; send plain JSON", quote(coding))
	}
	return nil
}

// parseObject tells what is no JSON (400) from what is JSON but no object (422).
func parseObject(body []byte) (*jsonobject.Object, error) {
	o, err := jsonobject.Parse(body)
	if err == nil {
		return o, nil
	}
	if value := strings.TrimSpace(string(body)); json.Valid(body) && value[0] != '{' {
		return nil, refuse(client.ErrInvalidValue, "the body is %s; it should be an object with the keys of the call",
			withArticle(jsonobject.KindOf(json.RawMessage(value))))
	}
	return nil, err
}

// only refuses keys that a call does not have: a misspelt optional one must not
// pass for one that was left out.
func only(o *jsonobject.Object, known ...string) error {
	for _, key := range o.Keys {
		if !slices.Contains(known, key) {
			return invalid("there is no key %s here; the keys are %s", quote(key), strings.Join(known, ", "))
		}
	}
	return nil
}

// textOf returns the string under a key that must be there.
func textOf(o *jsonobject.Object, key string) (string, error) {
	value := o.Values[key]
	if kind := jsonobject.KindOf(value); kind != "string" {
		return "", mistyped(key, kind, "a string")
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), nil // it stands for itself
	}
	var text string
	err := json.Unmarshal(value, &text)
	return text, err
}

// numberOf returns the text of the number under a key that must be there.
func numberOf(o *jsonobject.Object, key string) (string, error) {
	value := o.Values[key]
	if kind := jsonobject.KindOf(value); kind != "number" {
		return "", mistyped(key, kind, "a number")
	}
	return string(value), nil
}

func mistyped(key, kind, want string) error {
	if kind == "" {
		return invalid("%s is missing; it should be %s", key, want)
	}
	return invalid("%s is %s; it should be %s", key, withArticle(kind), want)
}

func withArticle(kind string) string {
	switch kind {
	case "null":
		return kind
	case "object", "array":
		return "an " + kind
	}
	return "a " + kind
}

// invalid is the refusal of a value.
func invalid(format string, args ...any) error {
	return refuse(client.ErrInvalidValue, format, args...)
}
