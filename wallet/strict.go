package wallet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cairn/internal/jsonobject"
)

// strict reads an object with all of the required keys, any of the optional ones
// and no other into v, which has them in its tags. No value may be null.
func strict(data []byte, v any, required []string, optional ...string) error {
	o, err := jsonobject.Parse(data)
	if err != nil {
		return err
	}
	for _, key := range required {
		if _, ok := o.Values[key]; !ok {
			return fmt.Errorf("field %q is missing", key)
		}
	}
	known := slices.Concat(required, optional)
	for _, key := range o.Keys {
		if !slices.Contains(known, key) {
			return fmt.Errorf("unknown field %.100q; the fields are %s", key, strings.Join(known, ", "))
		}
		if jsonobject.KindOf(o.Values[key]) == "null" {
			return fmt.Errorf("field %q is null", key)
		}
	}
	// The keys are exactly those of the tags, so nothing is matched by its case.
	err = json.Unmarshal(data, v)
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		return fmt.Errorf("field %q is a %s, which is not what belongs there", mistyped.Field, mistyped.Value)
	}
	return err
}

// encode writes v as JSON for people to read. Nothing that comes here can fail:
// texts are valid UTF-8, and raw values are JSON.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return b.Bytes()
}
