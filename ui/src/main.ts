import { mount } from 'svelte';
import './styles/tokens.css';
import './styles/base.css';
import './styles/controls.css';
import './styles/page.css';
import './styles/table.css';
import App from './app.svelte';
import { language } from './data/language.svelte.js';
import { session } from './data/session.svelte.js';

// The request runs while the page is drawn.
void session.start();

// Without its texts in the chosen language, the page shows English.
void language
  .start()
  .catch(() => undefined)
  .then(() => mount(App, { target: document.getElementById('app')! }));
