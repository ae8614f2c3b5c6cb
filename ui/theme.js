// Before the first paint, so that a page in the other theme never flashes. A file of its own: the policy of the page
// allows no script in its text.
try {
  const theme = localStorage.getItem('nestjs-jobs:theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // No storage: the theme of the system.
}
