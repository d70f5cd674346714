// Sets light or dark before the first paint. A file of its own, because inline scripts are forbidden.
(function () {
  var wanted = null;
  try {
    wanted = localStorage.getItem('wayside.scheme');
  } catch (error) {
    wanted = null;
  }
  var dark = wanted === 'dark' || (wanted !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
