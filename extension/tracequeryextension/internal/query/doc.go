// Package query answers the questions of the API in the words of the model: it reads the storage, joins and explains a
// trace, and knows nothing of HTTP or JSON.
package query
