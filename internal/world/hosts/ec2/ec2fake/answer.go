package ec2fake

import (
	"bytes"
	"encoding/xml"
)

// owner is the number of the account.
const owner = "111122223333"

// namespace is that of the answers.
const namespace = "http://ec2.amazonaws.com/doc/" + version + "/"

// answer is what an action answers, besides the ID of the request.
type answer []element

type element struct {
	name  string
	value any // an empty string is left out
}

// set is a list as EC2 shows it.
type set[T any] struct {
	Items []T `xml:"item"`
}

func setOf[F, T any](from []F, show func(F) T) set[T] {
	var out set[T]
	for _, f := range from {
		out.Items = append(out.Items, show(f))
	}
	return out
}

// whole shows what is fit to be shown.
func whole[T any](t T) T { return t }

// done is the answer of an action that has nothing to say.
func done() answer { return answer{{"return", true}} }

// shown is an answer as it is sent.
func (a answer) shown(action, request string) []byte {
	start := xml.StartElement{Name: xml.Name{Local: action + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}}
	return document(start, append(answer{{"requestId", request}}, a...))
}

// shown is a refusal as it is sent.
func (r *refusal) shown(request string) []byte {
	type wrong struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	start := xml.StartElement{Name: xml.Name{Local: "Response"}}
	return document(start, answer{{"Errors", wrong{r.code, r.message}}, {"RequestID", request}})
}

// document is a start element with elements below it.
func document(start xml.StartElement, below answer) []byte {
	out := bytes.NewBufferString(xml.Header)
	e := xml.NewEncoder(out)
	errs := []error{e.EncodeToken(start)}
	for _, b := range below {
		if b.value != "" {
			errs = append(errs, e.EncodeElement(b.value, xml.StartElement{Name: xml.Name{Local: b.name}}))
		}
	}
	errs = append(errs, e.EncodeToken(start.End()), e.Flush())
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
	return out.Bytes()
}
