// Shows this server's OpenAPI document with Swagger UI, which stands above this line.
{
  const place = document.getElementById("reference");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", follow);
  follow();

  const show = (spec) => {
    // Requests go to the address of this page: cookies go with them, and no other origin is asked.
    spec.servers = [{ url: location.origin + place.dataset.path }];
    SwaggerUIBundle({
      spec,
      domNode: place,
      deepLinking: true,
      defaultModelsExpandDepth: 0,
      displayRequestDuration: true,
      tryItOutEnabled: true,
      validatorUrl: null,
    });
  };

  fetch(place.dataset.document)
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(answer.status)))
    .then(show)
    .catch(() => (place.textContent = place.dataset.failed));
}
