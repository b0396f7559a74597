"""The steps of publishing, a module each; `exporters.xero.publisher` puts them in order."""
