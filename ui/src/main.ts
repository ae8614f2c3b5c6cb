import { mount } from 'svelte';
import './styles/tokens.css';
import './styles/base.css';
import './styles/controls.css';
import './styles/table.css';
import App from './app.svelte';

mount(App, { target: document.getElementById('app')! });
