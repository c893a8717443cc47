/** Mounts the page. */

import { mount } from 'svelte';
import { preferences } from './state/preferences.svelte';
import './styles/tokens.css';
import './styles/base.css';
import './styles/report.css';
import App from './views/App.svelte';

preferences.applyTheme();

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no element #app');
mount(App, { target });
